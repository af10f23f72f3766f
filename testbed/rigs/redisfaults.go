package rigs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

// redisGivesWay names what no single Redis can keep, however it is set up.
func redisGivesWay() map[string]string {
	return map[string]string{
		"S10a": "a maxmemory-policy other than noeviction deletes holds",
		"S10b": "who deletes all data deletes the holds",
		"S13":  "Redis ends leases by its wall clock",
	}
}

func redisWithout() map[conformance.Power]string {
	return map[conformance.Power]string{
		conformance.PowerCluster: "one primary grants; what a replica may lose is S9",
		conformance.PowerCompact: "Redis keeps no history",
	}
}

const noReplica = "it has no replica; the Redis with one has a column of its own"

// RedisFaults returns a maker of rigs with a Redis of their own, without
// persistence.
func RedisFaults() Maker {
	m := redisFaultMaker(redisName, "a Redis without persistence for each check, with a clock of its own for S13")
	m.profile.Without[conformance.PowerFailover] = noReplica
	excuseNetwork(m.profile.Without)
	m.profile.GivesWay["S3"] = "without persistence a restart forgets every hold"
	m.profile.GivesWay["S4"] = m.profile.GivesWay["S3"]
	m.make = func(ctx context.Context, needs func(conformance.Power) bool) (conformance.Rig, error) {
		if needs(conformance.PowerStep) {
			return newSteppedRedis(ctx)
		}
		return newRedisFaults(ctx, apart(needs))
	}
	return m
}

// RedisAOFFaults is RedisFaults with an append-only file that is on the disk
// before a claim is answered. Deleting all data is no question of that, and F7
// asks for very many holds in a short time.
func RedisAOFFaults() Maker {
	m := redisFaultMaker(redisAOFName, "a Redis with AOF for each check, appendfsync always (everysec for S10b and F7), with a clock of its own for S13")
	m.profile.Without[conformance.PowerFailover] = noReplica
	excuseNetwork(m.profile.Without)
	m.profile.Without[conformance.PowerForget] = "what was answered is in the file; the Redis without one starts with nothing"
	m.make = func(ctx context.Context, needs func(conformance.Power) bool) (conformance.Rig, error) {
		switch {
		case needs(conformance.PowerStep):
			return newSteppedRedis(ctx, servers.AOF()...)
		case needs(conformance.PowerFlush):
			return newRedisFaults(ctx, apart(needs, append(servers.AOF(), "--appendfsync", "everysec")...))
		}
		return newRedisFaults(ctx, apart(needs, servers.AOF()...))
	}
	return m
}

// RedisReplicaFaults is RedisFaults with one replica, for which the primary
// does not wait. What is done to the server is done to the primary.
func RedisReplicaFaults() Maker {
	m := redisFaultMaker(redisReplicaName, "a Redis without persistence and its replica (min-replicas-to-write 0) for each check")
	m.profile.Without[conformance.PowerNetwork] = "both are processes; the Redis without a replica shows it"
	m.profile.Without[conformance.PowerStep] = "two clocks would have to be stepped; the Redis without a replica shows it"
	m.profile.GivesWay["S3"] = "a primary without persistence comes back empty, and so does its replica"
	m.profile.GivesWay["S4"] = m.profile.GivesWay["S3"]
	m.profile.GivesWay["S9"] = "replication is asynchronous: what the replica had not got is lost with the primary"
	delete(m.profile.GivesWay, "S13")
	m.make = func(ctx context.Context, _ func(conformance.Power) bool) (conformance.Rig, error) {
		return newRedisPair(ctx)
	}
	return m
}

func redisFaultMaker(backend, server string) *faultMaker {
	return &faultMaker{profile: conformance.Profile{
		Backend: backend, Server: server,
		TTL: RedisTTL, Slack: RedisSlack, FIFO: true,
		GivesWay: redisGivesWay(), Without: redisWithout(),
	}}
}

type redisFaults struct {
	*redisRig
	owned
}

var (
	_ conformance.Forgetter     = (*redisFaults)(nil)
	_ conformance.Crowder       = (*redisFaults)(nil)
	_ conformance.Flusher       = (*redisFaults)(nil)
	_ conformance.ScriptFlusher = (*redisFaults)(nil)
	_ conformance.ClientKiller  = (*redisFaults)(nil)
	_ conformance.Stocktaker    = (*redisFaults)(nil)
	_ conformance.Stepper       = (*steppedRedis)(nil)
)

func newRedisFaults(ctx context.Context, o servers.Options) (conformance.Rig, error) {
	s, err := servers.OwnRedis(ctx, o)
	if err != nil {
		return nil, err
	}
	return redisOn(s), nil
}

func redisOn(s *servers.Server) *redisFaults {
	admin := redis.NewClient(&redis.Options{Addr: s.Addr})
	return &redisFaults{newRedisRig(admin, s.Addr), owned{s}}
}

// Close leaves the keys to go with their server.
func (r *redisFaults) Close() error { return stopping(r.rig.Close, r.admin.Close, r.server.Stop) }

// RestartEmpty starts a server that has no persistence. Where it has some, the
// profile goes without.
func (r *redisFaults) RestartEmpty(ctx context.Context) error { return r.server.Restart(ctx) }

func (r *redisFaults) FlushAll(ctx context.Context) error { return r.admin.FlushAll(ctx).Err() }

// FlushScripts makes sure that there were scripts to forget.
func (r *redisFaults) FlushScripts(ctx context.Context) error {
	known, err := servers.RedisInfo(ctx, r.admin, "memory", "number_of_cached_scripts")
	if err != nil {
		return err
	}
	if known == "0" {
		return errors.New("rigs: there was no script to forget")
	}
	return r.admin.ScriptFlush(ctx).Err()
}

// KillClients spares the connection that asks for it.
func (r *redisFaults) KillClients(ctx context.Context) error {
	for _, kind := range []string{"normal", "pubsub"} {
		n, err := r.admin.ClientKillByFilter(ctx, "TYPE", kind).Result()
		if err != nil {
			return err
		}
		if kind == "normal" && n == 0 {
			return errors.New("rigs: there was no connection to kill")
		}
	}
	return nil
}

// Stock counts keys, the counters for tokens included.
func (r *redisFaults) Stock(ctx context.Context) (int, error) {
	n, err := r.admin.DBSize(ctx).Result()
	return int(n), err
}

// Crowd makes memory short for as long as it takes.
func (r *redisFaults) Crowd(ctx context.Context, name string) error {
	info, err := servers.RedisInfo(ctx, r.admin, "memory", "used_memory")
	if err != nil {
		return err
	}
	used, err := strconv.Atoi(info)
	if err != nil {
		return fmt.Errorf("rigs: %w", err)
	}
	const room = 4 << 20 // more than what replication itself takes
	if err := errors.Join(
		r.admin.ConfigSet(ctx, "maxmemory-policy", "allkeys-random").Err(),
		r.admin.ConfigSet(ctx, "maxmemory", strconv.Itoa(used+room)).Err(),
	); err != nil {
		return err
	}
	key, value := r.prefix+"{"+escapeTag(name)+"}:h", strings.Repeat("x", 10_000)
	n := 0
	return errors.Join(eventually(ctx, "evicting the hold", func() (bool, error) {
		pipe := r.admin.Pipeline()
		for range 100 {
			n++
			pipe.Set(ctx, fmt.Sprintf("crowd %d", n), value, 0)
		}
		held := pipe.Exists(ctx, key)
		_, err := pipe.Exec(ctx)
		return err == nil && held.Val() == 0, err
	}), r.admin.ConfigSet(ctx, "maxmemory", "0").Err())
}

// steppedRedis has a server whose clock can be stepped.
type steppedRedis struct {
	*redisFaults
	stepped *servers.SteppedRedis
	offset  time.Duration
}

func newSteppedRedis(ctx context.Context, args ...string) (conformance.Rig, error) {
	s, err := servers.OwnSteppedRedis(ctx, args...)
	if err != nil {
		return nil, err
	}
	return &steppedRedis{redisFaults: redisOn(s.Server), stepped: s}, nil
}

// StepServer returns when the server tells the new time.
func (r *steppedRedis) StepServer(ctx context.Context, d time.Duration) error {
	r.offset += d
	if err := r.stepped.Step(r.offset); err != nil {
		return err
	}
	return eventually(ctx, "stepping the clock", func() (bool, error) {
		now, err := r.admin.Time(ctx).Result()
		return err == nil && (time.Until(now)-r.offset).Abs() < time.Minute, err
	})
}
