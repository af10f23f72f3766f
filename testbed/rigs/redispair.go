package rigs

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/proxy"
	"github.com/lockerlib/locker/testbed/servers"
)

// A redisPair is a primary and its replica behind one address. They are
// processes of this machine, so that a proxy can stand between them.
type redisPair struct {
	*redisRig
	primary, replica *servers.Server
	other            *redis.Client // of the replica
	between          *proxy.Proxy
}

var _ conformance.Failover = (*redisPair)(nil)

func newRedisPair(ctx context.Context) (_ conformance.Rig, err error) {
	r := new(redisPair)
	var undo []func() error
	defer func() {
		if err != nil {
			err = errors.Join(err, stopping(undo...))
		}
	}()
	if r.primary, err = servers.OwnRedis(ctx, servers.Options{Local: true, Args: []string{"--repl-diskless-sync-delay", "0"}}); err != nil {
		return nil, err
	}
	undo = append(undo, r.primary.Stop)
	if r.replica, err = servers.OwnRedis(ctx, servers.Options{Local: true}); err != nil {
		return nil, err
	}
	undo = append(undo, r.replica.Stop)
	if r.between, err = proxy.New(r.primary.Addr, proxy.Opaque); err != nil {
		return nil, err
	}
	undo = append(undo, r.between.Close)
	r.other = redis.NewClient(&redis.Options{Addr: r.replica.Addr})
	undo = append(undo, r.other.Close)
	host, port, err := net.SplitHostPort(r.between.Addr())
	if err != nil {
		return nil, err
	}
	if err := r.other.ReplicaOf(ctx, host, port).Err(); err != nil {
		return nil, err
	}
	if err := eventually(ctx, "starting the replication", func() (bool, error) {
		info, err := r.other.Info(ctx, "replication").Result()
		return err == nil && field(info, "master_link_status") == "up", err
	}); err != nil {
		return nil, err
	}
	r.redisRig = newRedisRig(redis.NewClient(&redis.Options{Addr: r.primary.Addr}), r.primary.Addr)
	return r, nil
}

// CutReplication waits until the replica has what was written before.
func (r *redisPair) CutReplication(ctx context.Context) error {
	if err := eventually(ctx, "waiting for the replica", func() (bool, error) {
		from, err1 := r.admin.Info(ctx, "replication").Result()
		to, err2 := r.other.Info(ctx, "replication").Result()
		err := errors.Join(err1, err2)
		return err == nil && field(from, "master_repl_offset") == field(to, "slave_repl_offset"), err
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
	return stopping(r.rig.Close, r.admin.Close, r.other.Close, r.between.Close, r.primary.Stop, r.replica.Stop)
}
