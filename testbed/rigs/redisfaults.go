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

// redisGivesWay names what a single Redis cannot keep.
var redisGivesWay = map[string]string{
	"S4":   "without persistence a restart forgets every hold",
	"S9":   "replication is asynchronous: what the replica had not got is lost with the primary",
	"S10a": "a maxmemory-policy other than noeviction deletes holds",
	"S10b": "who deletes all data deletes the holds",
	"S13":  "Redis ends leases by its wall clock",
}

// redisBestEffort names what a Redis client keeps with luck.
var redisBestEffort = map[string]string{
	"S12": "a connection carries one request at a time, and the handshake of a further one is as late as every answer",
}

// RedisFaults returns a maker of rigs with a Redis of their own: with an
// append-only file where a check asks what a restart keeps, without persistence
// otherwise.
func RedisFaults() Maker {
	m := &faultMaker{profile: conformance.Profile{
		Backend: "Redis",
		Server:  "a Redis for each check: with AOF for S3, with a replica for S9, with a clock of its own for S13",
		TTL:     RedisTTL, Slack: RedisSlack, FIFO: true, GivesWay: redisGivesWay, BestEffort: redisBestEffort,
		Without: map[conformance.Power]string{
			conformance.PowerCluster: "one primary grants; what a replica may lose is S9",
			conformance.PowerCompact: "Redis keeps no history",
			conformance.PowerFill:    "Redis has no quota; what it does without memory is S10a",
		},
	}}
	m.make = func(ctx context.Context, needs func(conformance.Power) bool) (conformance.Rig, error) {
		switch {
		case needs(conformance.PowerFailover):
			return newRedisPair(ctx)
		case needs(conformance.PowerStep):
			return newSteppedRedis(ctx)
		case needs(conformance.PowerRestart):
			return newRedisFaults(ctx, "--appendonly", "yes", "--appendfsync", "everysec")
		}
		return newRedisFaults(ctx)
	}
	return m
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

func newRedisFaults(ctx context.Context, args ...string) (conformance.Rig, error) {
	s, err := servers.OwnRedis(ctx, servers.Options{Args: args})
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

// RestartEmpty starts a server that has no persistence.
func (r *redisFaults) RestartEmpty(ctx context.Context) error { return r.server.Restart(ctx) }

func (r *redisFaults) FlushAll(ctx context.Context) error { return r.admin.FlushAll(ctx).Err() }

func (r *redisFaults) FlushScripts(ctx context.Context) error { return r.admin.ScriptFlush(ctx).Err() }

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
	info, err := r.admin.Info(ctx, "memory").Result()
	if err != nil {
		return err
	}
	used, err := strconv.Atoi(field(info, "used_memory"))
	if err != nil {
		return fmt.Errorf("rigs: %w", err)
	}
	const room = 1 << 20
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

// field takes a value out of the answer to INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// steppedRedis has a server whose clock can be stepped.
type steppedRedis struct {
	*redisFaults
	stepped *servers.SteppedRedis
	offset  time.Duration
}

func newSteppedRedis(ctx context.Context) (conformance.Rig, error) {
	s, err := servers.OwnSteppedRedis(ctx)
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
