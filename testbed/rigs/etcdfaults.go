package rigs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/testbed/servers"
)

// clusterSize is the smallest that outlives one of its members.
const clusterSize = 3

// EtcdFaults returns a maker of rigs with an etcd of one member of their own.
func EtcdFaults(mode etcdlock.Mode) Maker {
	without := etcdWithout()
	without[conformance.PowerCluster] = "an etcd of one member; that of three has a column of its own"
	excuseNetwork(without)
	return &faultMaker{
		profile: etcdFaultProfile(mode, etcdName(mode), "an etcd for each check, with a small quota for S15", without),
		make: func(ctx context.Context, needs func(conformance.Power) bool) (conformance.Rig, error) {
			if needs(conformance.PowerFill) {
				return newEtcdFaults(ctx, mode, apart(needs, "--quota-backend-bytes", fmt.Sprint(16<<20)))
			}
			return newEtcdFaults(ctx, mode, apart(needs))
		},
	}
}

// EtcdClusterFaults is EtcdFaults with three members. What is done to the
// server is done to all of them.
func EtcdClusterFaults(mode etcdlock.Mode) Maker {
	without := etcdWithout()
	without[conformance.PowerFill] = "each member has its own quota; an etcd of one member shows it"
	without[conformance.PowerNetwork] = "its members are processes; an etcd of one member shows it, and S6 and S8 what the network between members does"
	return &faultMaker{
		profile: etcdFaultProfile(mode, etcdClusterName(mode), "an etcd of 3 members for each check", without),
		make: func(ctx context.Context, _ func(conformance.Power) bool) (conformance.Rig, error) {
			return newEtcdCluster(ctx, mode)
		},
	}
}

func etcdFaultProfile(mode etcdlock.Mode, backend, server string, without map[conformance.Power]string) conformance.Profile {
	profile := conformance.Profile{
		Backend: backend, Server: server,
		TTL: EtcdTTL, Slack: EtcdSlack, FIFO: true, Without: without,
	}
	if mode == etcdlock.Session {
		profile.GivesWay = sessionGivesWay
	}
	return profile
}

func etcdWithout() map[conformance.Power]string {
	return map[conformance.Power]string{
		conformance.PowerForget:       "etcd has no mode without a disk",
		conformance.PowerFailover:     "etcd confirms nothing that only one member has; see S7",
		conformance.PowerCrowd:        "etcd evicts nothing; what it does without room is S15",
		conformance.PowerFlush:        "etcd has no such command",
		conformance.PowerFlushScripts: "etcd has no scripts",
		conformance.PowerKillClients:  "etcd has no such command; S3 ends all connections too",
		conformance.PowerStep:         "etcd counts leases by the monotonic clock, and a library before it does nothing to a Go program",
	}
}

// etcdAlone is a rig whose etcd nobody else uses.
type etcdAlone struct{ *etcdRig }

var (
	_ conformance.Compacter  = etcdAlone{}
	_ conformance.Stocktaker = etcdAlone{}
)

// etcdFaults is a rig on one member.
type etcdFaults struct {
	etcdAlone
	owned
}

var _ conformance.Filler = (*etcdFaults)(nil)

func newEtcdFaults(ctx context.Context, mode etcdlock.Mode, o servers.Options) (conformance.Rig, error) {
	s, err := servers.OwnEtcd(ctx, o)
	if err != nil {
		return nil, err
	}
	admin, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Addr}, Logger: zap.NewNop()})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return &etcdFaults{etcdAlone{newEtcdRig(mode, admin, s.Addr)}, owned{s}}, nil
}

// Close leaves the keys to go with their server.
func (r *etcdFaults) Close() error { return stopping(r.rig.Close, r.admin.Close, r.server.Stop) }

// Stock counts keys and leases.
func (r etcdAlone) Stock(ctx context.Context) (int, error) {
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
func (r etcdAlone) Compact(ctx context.Context) error {
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
