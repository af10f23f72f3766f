package rigs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/redislock"
	"github.com/lockerlib/locker/testbed/proxy"
	"github.com/lockerlib/locker/testbed/servers"
)

// RedisTTL is the lease that checks on Redis use. Redis could keep shorter
// ones; a busy machine with the race detector could not renew them.
const RedisTTL = 2 * time.Second

// RedisSlack is how late the next waiter may look after the hold of a dead
// client has expired.
const RedisSlack = 500 * time.Millisecond

// Redis returns a maker of rigs on a Redis, or on what stands in for one.
func Redis(s *servers.Server) (Maker, error) {
	if s.IsStandIn() {
		return newRedisMaker(s, "miniredis (stand-in)", nil), nil
	}
	return newRedisMaker(s, redisName, nil), nil
}

// RedisAOF is Redis for one that writes an append-only file.
func RedisAOF(s *servers.Server) (Maker, error) {
	return newRedisMaker(s, redisAOFName, func(ctx context.Context, admin *redis.Client) error {
		fsync, err := admin.ConfigGet(ctx, "append*").Result()
		if err == nil && (fsync["appendonly"] != "yes" || fsync["appendfsync"] != "always") {
			err = fmt.Errorf("it does not write its file before it answers: %v", fsync)
		}
		return err
	}), nil
}

// RedisReplica is Redis for a primary that has a replica.
func RedisReplica(s *servers.Server) (Maker, error) {
	return newRedisMaker(s, redisReplicaName, func(ctx context.Context, admin *redis.Client) error {
		n, err := servers.RedisInfo(ctx, admin, "replication", "connected_slaves")
		if err == nil && n != "1" {
			err = fmt.Errorf("it has %q replicas and not 1", n)
		}
		return err
	}), nil
}

// What the columns are called.
const (
	redisName        = "Redis"
	redisAOFName     = "Redis AOF"
	redisReplicaName = "Redis replica"
)

// newRedisMaker makes rigs on s. That it is what the column says is asked for
// each of them with is, which may be nil.
func newRedisMaker(s *servers.Server, backend string, is func(context.Context, *redis.Client) error) Maker {
	return &redisMaker{
		server: s,
		is:     is,
		admin:  redis.NewClient(&redis.Options{Addr: s.Addr}),
		pulse:  redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 1, MaxRetries: -1, ContextTimeoutEnabled: true}),
		profile: conformance.Profile{
			Backend: backend,
			Server:  s.String(),
			TTL:     RedisTTL,
			Slack:   RedisSlack,
			FIFO:    true,
		},
	}
}

type redisMaker struct {
	server  *servers.Server
	is      func(context.Context, *redis.Client) error
	admin   *redis.Client // goes to the server directly
	pulse   *redis.Client // as admin, and gives up when it is told to
	profile conformance.Profile
}

var _ conformance.Pulser = (*redisMaker)(nil)

func (m *redisMaker) Profile() conformance.Profile { return m.profile }

// Pulse deletes a key that is not there.
func (m *redisMaker) Pulse(ctx context.Context) error { return m.pulse.Del(ctx, "no such key").Err() }

func (m *redisMaker) Close() error { return errors.Join(m.pulse.Close(), m.admin.Close()) }

func (m *redisMaker) Make(ctx context.Context) (conformance.Rig, error) {
	if m.is != nil {
		if err := m.is(ctx, m.admin); err != nil {
			return nil, fmt.Errorf("rigs: %s: %w", m.server, err)
		}
	}
	return newRedisRig(m.admin, m.server.Addr), nil
}

func newRedisRig(admin *redis.Client, addr string) *redisRig {
	r := &redisRig{rig: newRig(proxy.RESP, addr), admin: admin}
	r.prefix += ":"
	r.url = func(addr string) string { return r.urlUnder(addr, "") }
	r.urlUnder = func(addr, prefix string) string {
		return fmt.Sprintf("redis://%s/0?prefix=%s", addr, url.QueryEscape(r.prefix+prefix))
	}
	return r
}

type redisRig struct {
	*rig
	admin *redis.Client
}

var (
	_ conformance.Linker    = (*redisRig)(nil)
	_ conformance.Crasher   = (*redisRig)(nil)
	_ conformance.Evictor   = (*redisRig)(nil)
	_ conformance.Observer  = (*redisRig)(nil)
	_ conformance.Spawner   = (*redisRig)(nil)
	_ conformance.Shared    = (*redisRig)(nil)
	_ conformance.Suspender = (*redisRig)(nil)
	_ conformance.Planter   = (*redisRig)(nil)

	_ conformance.LossCounter = (*redisRig)(nil)
	_ conformance.Prefixer    = (*redisRig)(nil)
	_ conformance.WallStepper = (*redisRig)(nil)
)

// keys lists what begins with the prefix, which has no character that SCAN
// takes for a pattern.
func (r *redisRig) keys(ctx context.Context) ([]string, error) {
	var keys []string
	for it := r.admin.Scan(ctx, 0, r.prefix+"*", 1000).Iterator(); ; {
		if !it.Next(ctx) {
			slices.Sort(keys)
			return slices.Compact(keys), it.Err() // SCAN may give a key twice
		}
		keys = append(keys, it.Val())
	}
}

// Residue lists keys, channels that somebody listens to, and connections. The
// counters for tokens are declared to stay until their time. So is the one
// channel that a client listens to as long as it is connected: it belongs to
// the client as its connection does.
func (r *redisRig) Residue(ctx context.Context) ([]string, error) {
	keys, err := r.keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("rigs: listing keys: %w", err)
	}
	lines := r.connections()
	connected := len(lines)
	for _, key := range keys {
		if !strings.HasSuffix(key, "}:t") && !r.isPlanted(key) {
			lines = append(lines, fmt.Sprintf("key: %q", strings.TrimPrefix(key, r.prefix)))
		}
	}
	channels, err := r.admin.PubSubChannels(ctx, r.prefix+"*").Result()
	if err != nil {
		return nil, fmt.Errorf("rigs: listing channels: %w", err)
	}
	for _, c := range channels[min(connected, len(channels)):] {
		lines = append(lines, fmt.Sprintf("channel: %q", strings.TrimPrefix(c, r.prefix)))
	}
	slices.Sort(lines)
	return lines, nil
}

// Evict deletes the hold of name.
func (r *redisRig) Evict(ctx context.Context, name string) error {
	n, err := r.admin.Del(ctx, r.prefix+"{"+escapeTag(name)+"}:h").Result()
	if err != nil {
		return fmt.Errorf("rigs: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("rigs: nobody holds %q", name)
	}
	return nil
}

// escapeTag is the form of a name in the keys of redislock.
func escapeTag(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || c == '%' || c == '{' || c == '}' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// OpenShared opens a Locker over a client of the rig.
func (r *redisRig) OpenShared(_ context.Context, opts ...locker.OpenOption) (locker.Locker, func(context.Context) error, error) {
	var client *redis.Client
	l, err := r.lend(func(addr string) (locker.Locker, func() error, error) {
		client = redis.NewClient(&redis.Options{Addr: addr})
		l, err := redislock.New(client, slices.Concat([]locker.OpenOption{redislock.WithPrefix(r.prefix)}, opts)...)
		if err != nil {
			return nil, nil, errors.Join(err, client.Close())
		}
		return l, client.Close, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return l, func(ctx context.Context) error { return client.Ping(ctx).Err() }, nil
}

// Plant puts keys beside and between those of the library.
func (r *redisRig) Plant(ctx context.Context) (func(context.Context) error, error) {
	keys := []string{
		r.prefix, r.prefix + "config", r.prefix + "{planted}", r.prefix + "{planted}:",
		r.prefix + "{planted}:other", r.prefix + "{}:h", r.prefix + "push:",
	}
	for _, key := range keys {
		r.plant(key)
		if err := r.admin.Set(ctx, key, planted, 0).Err(); err != nil {
			return nil, fmt.Errorf("rigs: %w", err)
		}
	}
	return func(ctx context.Context) error {
		for _, key := range keys {
			got, err := r.admin.Get(ctx, key).Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return fmt.Errorf("rigs: %w", err)
			}
			if got != planted {
				return fmt.Errorf("the key %q, which is not the library's, was changed or deleted", key)
			}
		}
		return nil
	}, nil
}

// Close also removes what is left: the server may be shared.
func (r *redisRig) Close() error {
	err := r.rig.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	keys, scanErr := r.keys(ctx)
	err = errors.Join(err, scanErr)
	if len(keys) > 0 {
		err = errors.Join(err, r.admin.Del(ctx, keys...).Err())
	}
	return err
}
