package rigs

import (
	"context"
	"errors"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/testbed/servers"
)

// etcdCluster is a rig on several members.
type etcdCluster struct {
	etcdAlone
	cluster *servers.Cluster
}

var (
	_ conformance.Cluster   = (*etcdCluster)(nil)
	_ conformance.Pauser    = (*etcdCluster)(nil)
	_ conformance.Restarter = (*etcdCluster)(nil)
)

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
	return &etcdCluster{etcdAlone{newEtcdRig(mode, admin, addrs...)}, c}, nil
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

// PauseServer stops all members, as ResumeServer, KillServer and RestartServer
// do what they say to all.
func (r *etcdCluster) PauseServer(ctx context.Context) error {
	return r.each(func(m *servers.Server) error { return m.Pause(ctx) })
}

func (r *etcdCluster) ResumeServer(ctx context.Context) error {
	return r.each(func(m *servers.Server) error { return m.Resume(ctx) })
}

func (r *etcdCluster) KillServer(ctx context.Context) error {
	return r.each(func(m *servers.Server) error { return m.Kill(ctx) })
}

func (r *etcdCluster) RestartServer(ctx context.Context) error {
	return r.each(func(m *servers.Server) error { return m.Restart(ctx) })
}

// each does f to all members at once: one that starts answers only when there
// is a quorum.
func (r *etcdCluster) each(f func(*servers.Server) error) error {
	errs := make([]error, len(r.cluster.Members))
	var all sync.WaitGroup
	for i, m := range r.cluster.Members {
		all.Go(func() { errs[i] = f(m) })
	}
	all.Wait()
	return errors.Join(errs...)
}
