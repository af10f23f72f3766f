package rigs

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/proxy"
	"github.com/lockerlib/locker/testbed/servers"
)

// A redisPair is a primary and its replica behind one address. They are
// processes of this machine, so that a proxy can stand between them.
type redisPair struct {
	*redisFaults // the primary
	replica      *servers.Server
	other        *redis.Client // of the replica
	between      *proxy.Proxy
}

var _ conformance.Failover = (*redisPair)(nil)

func newRedisPair(ctx context.Context) (conformance.Rig, error) {
	primary, replica, err := servers.OwnRedisPair(ctx)
	if err != nil {
		return nil, err
	}
	between, err := proxy.New(primary.Addr, proxy.Opaque)
	if err != nil {
		return nil, errors.Join(err, stopping(primary.Stop, replica.Stop))
	}
	r := &redisPair{
		redisFaults: redisOn(primary), replica: replica, between: between,
		other: redis.NewClient(&redis.Options{Addr: replica.Addr}),
	}
	if err := servers.Replicate(ctx, replica, between.Addr()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// CutReplication waits until the replica has what was written before.
func (r *redisPair) CutReplication(ctx context.Context) error {
	if err := eventually(ctx, "waiting for the replica", func() (bool, error) {
		from, err1 := servers.RedisInfo(ctx, r.admin, "replication", "master_repl_offset")
		to, err2 := servers.RedisInfo(ctx, r.other, "replication", "slave_repl_offset")
		err := errors.Join(err1, err2)
		return err == nil && from == to, err
	}); err != nil {
		return err
	}
	r.between.Cut(proxy.Both)
	return nil
}

// Promote lets the replica take over. The old primary goes on, as it would on
// the other side of a partition, and nobody reaches it.
func (r *redisPair) Promote(ctx context.Context) error {
	behind, err := r.admin.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	if err := r.other.ReplicaOf(ctx, "NO", "ONE").Err(); err != nil {
		return err
	}
	has, err := r.other.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	if has >= behind {
		return fmt.Errorf("rigs: the replica has %d keys and the primary %d: nothing was lost", has, behind)
	}
	r.move(r.replica.Addr)
	return nil
}

// Close leaves the keys to go with their servers.
func (r *redisPair) Close() error {
	return stopping(r.redisFaults.Close, r.other.Close, r.between.Close, r.replica.Stop)
}
