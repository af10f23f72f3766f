package rigs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/testbed/servers"
)

// clusterSize is the smallest that outlives one of its members.
const clusterSize = 3

// EtcdFaults returns a maker of rigs with an etcd of their own: of three
// members where a check needs several, of one otherwise.
func EtcdFaults(mode etcdlock.Mode) Maker {
	profile := conformance.Profile{
		Backend: "etcd " + mode.String(),
		Server:  "an etcd for each check: of three members for S6, S7, S8 and X6, with a small quota for S15",
		TTL:     EtcdTTL, Slack: EtcdSlack, FIFO: true,
		Without: map[conformance.Power]string{
			conformance.PowerForget:       "etcd has no mode without a disk",
			conformance.PowerFailover:     "etcd confirms nothing that only one member has; see S7",
			conformance.PowerCrowd:        "etcd evicts nothing; what it does without room is S15",
			conformance.PowerFlush:        "etcd has no such command",
			conformance.PowerFlushScripts: "etcd has no scripts",
			conformance.PowerKillClients:  "etcd has no such command; S3 ends all connections too",
			conformance.PowerStep:         "etcd counts leases by the monotonic clock, and a library before it does nothing to a Go program",
		},
	}
	if mode == etcdlock.Session {
		profile.GivesWay = sessionGivesWay
	}
	return &faultMaker{profile: profile, make: func(ctx context.Context, needs func(conformance.Power) bool) (conformance.Rig, error) {
		switch {
		case needs(conformance.PowerCluster):
			return newEtcdCluster(ctx, mode)
		case needs(conformance.PowerFill):
			return newEtcdFaults(ctx, mode, "--quota-backend-bytes", fmt.Sprint(16<<20))
		}
		return newEtcdFaults(ctx, mode)
	}}
}

type etcdFaults struct {
	*etcdRig
	owned
}

var (
	_ conformance.Compacter  = (*etcdFaults)(nil)
	_ conformance.Filler     = (*etcdFaults)(nil)
	_ conformance.Stocktaker = (*etcdFaults)(nil)
	_ conformance.Cluster    = (*etcdCluster)(nil)
)

func newEtcdFaults(ctx context.Context, mode etcdlock.Mode, args ...string) (conformance.Rig, error) {
	s, err := servers.OwnEtcd(ctx, servers.Options{Args: args})
	if err != nil {
		return nil, err
	}
	admin, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Addr}, Logger: zap.NewNop()})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return &etcdFaults{newEtcdRig(mode, admin, s.Addr), owned{s}}, nil
}

// Close leaves the keys to go with their server.
func (r *etcdFaults) Close() error { return stopping(r.rig.Close, r.admin.Close, r.server.Stop) }

// Stock counts keys and leases.
func (r *etcdFaults) Stock(ctx context.Context) (int, error) {
	keys, err := r.admin.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	leases, err := r.admin.Leases(ctx)
	if err != nil {
		return 0, err
	}
	return int(keys.Count) + len(leases.Leases), nil
}

// Compact forgets everything but the last state.
func (r *etcdFaults) Compact(ctx context.Context) error {
	var last int64
	for range 10 {
		put, err := r.admin.Put(ctx, "foreign", planted)
		if err != nil {
			return err
		}
		last = put.Header.Revision
	}
	_, err := r.admin.Compact(ctx, last, clientv3.WithCompactPhysical())
	return err
}

const filler = "filler/"

// Fill writes until etcd raises its alarm, and after that accepts nothing that
// needs room.
func (r *etcdFaults) Fill(ctx context.Context) error {
	value := strings.Repeat("x", 1<<20)
	for n := 0; ; n++ {
		_, err := r.admin.Put(ctx, fmt.Sprintf("%s%d", filler, n), value)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Empty follows the book: delete, compact, defragment, disarm.
func (r *etcdFaults) Empty(ctx context.Context) error {
	gone, err := r.admin.Delete(ctx, filler, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	if _, err := r.admin.Compact(ctx, gone.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	if _, err := r.admin.Defragment(ctx, r.server.Addr); err != nil {
		return err
	}
	_, err = r.admin.AlarmDisarm(ctx, &clientv3.AlarmMember{}) // all alarms
	return err
}

// etcdCluster is a rig on several members.
type etcdCluster struct {
	*etcdRig
	cluster *servers.Cluster
}

func newEtcdCluster(ctx context.Context, mode etcdlock.Mode) (conformance.Rig, error) {
	c, err := servers.OwnEtcdCluster(ctx, clusterSize)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, m := range c.Members {
		addrs = append(addrs, m.Addr)
	}
	admin, err := clientv3.New(clientv3.Config{Endpoints: addrs, Logger: zap.NewNop()})
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return &etcdCluster{newEtcdRig(mode, admin, addrs...), c}, nil
}

// Close leaves the keys to go with their servers.
func (r *etcdCluster) Close() error { return stopping(r.rig.Close, r.admin.Close, r.cluster.Stop) }

func (r *etcdCluster) Size() int { return len(r.cluster.Members) }

func (r *etcdCluster) OpenAt(ctx context.Context, member int, opts ...locker.OpenOption) (locker.Locker, error) {
	return r.openBy(ctx, []string{r.cluster.Members[member].Addr}, r.url, opts)
}

func (r *etcdCluster) Leader(ctx context.Context) (int, error) { return r.cluster.Leader(ctx) }

func (r *etcdCluster) KillMember(ctx context.Context, member int) error {
	return r.cluster.Members[member].Kill(ctx)
}

func (r *etcdCluster) RestartMember(ctx context.Context, member int) error {
	return r.cluster.Members[member].Restart(ctx)
}

func (r *etcdCluster) Isolate(member int) error {
	r.cluster.Isolate(member)
	return nil
}

func (r *etcdCluster) Rejoin(member int) error {
	r.cluster.Rejoin(member)
	return nil
}
