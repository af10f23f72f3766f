package redislock

import (
	"context"
	"math/bits"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// spares is how many connections stand by for renewals. A connection carries
// one request at a time, so a renewal that is sent while the one before is out
// needs another, and one that must be made first costs a round trip of its own.
// Where answers are late by half a TTL, both together are too late.
const spares = 3

// A standby keeps connections of a client ready for renewals.
type standby struct {
	client *redis.Client // nil: another kind of client, whose pool is not known

	mu   sync.Mutex // guards what follows
	once bool       // connections were made
	busy bool       // and are being made
	slow map[time.Duration]*redis.Client
}

func newStandby(client redis.UniversalClient) *standby {
	c, _ := client.(*redis.Client)
	return &standby{client: c, slow: make(map[time.Duration]*redis.Client)}
}

// longest is for how long a renewal keeps a connection that does not answer.
const longest = time.Minute

// forRenewal returns the client for renewals with this TTL, or nil for the usual
// one: it waits for an answer for about as long as that is of use.
func (s *standby) forRenewal(ttl time.Duration) redis.UniversalClient {
	if s.client == nil {
		return nil
	}
	usual := s.client.Options().ReadTimeout
	if usual <= 0 || usual >= min(ttl, longest) { // 0 and below: no limit
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Whoever waits for the answer goes by a context that is exact; this is when
	// the connection is given up. Rounding keeps the clients few, whatever TTLs
	// there are.
	about := min(time.Duration(1)<<bits.Len64(uint64(ttl-1)), longest)
	c := s.slow[about]
	if c == nil {
		c = s.client.WithTimeout(about) // shares the connections
		s.slow[about] = c
	}
	return c
}

// fill makes connections if fewer than spares stand idle. They are held
// together until each has answered, or the pool would lend one several times.
// It takes no more than a quarter of a pool.
func (s *standby) fill() {
	if s.client == nil {
		return
	}
	n := min(spares, s.client.Options().PoolSize/4)
	s.mu.Lock()
	idle := int(s.client.PoolStats().IdleConns)
	if s.busy || n == 0 || s.once && idle >= n {
		s.mu.Unlock()
		return
	}
	s.once, s.busy = true, true
	s.mu.Unlock()

	ctx := context.Background() // the client has its time limits
	var making sync.WaitGroup
	conns := make([]*redis.Conn, n)
	for i := range conns {
		conns[i] = s.client.Conn()
		making.Go(func() { _ = conns[i].Ping(ctx).Err() }) // without it there is one less
	}
	making.Wait()
	for _, c := range conns {
		_ = c.Close() // gives it back
	}
	s.mu.Lock()
	s.busy = false
	s.mu.Unlock()
}
