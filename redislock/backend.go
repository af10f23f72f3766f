package redislock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/redis/go-redis/v9"
)

const (
	minTTL = 100 * time.Millisecond // shorter leases would be over when their answer came

	// minUndo is how long a claim of unknown fate comes to nothing, at least.
	minUndo = time.Second

	// recheckDelay follows the end of the hold that is in the way: the first in
	// the queue looks right then, and the second a little later, in case the
	// first is dead.
	recheckDelay = 5 * time.Millisecond
	recheckStep  = 20 * time.Millisecond

	// pollWhileDeaf replaces pushes while the subscription is not in place.
	pollWhileDeaf = 500 * time.Millisecond
)

// A backend is one client of one primary.
type backend struct {
	client   redis.UniversalClient
	server   server
	prefix   string
	sender   *sender
	standby  *standby
	listener *listener
	closing  func() error // closes a client of our own; nil if it is the caller's

	mu     sync.Mutex          // guards claims
	claims map[string]struct{} // that may wait or hold
}

var (
	_ driver.Backend   = (*backend)(nil)
	_ driver.Pusher    = (*backend)(nil)
	_ driver.Inspector = (*backend)(nil)
	_ driver.Lister    = (*backend)(nil)
	_ driver.Breaker   = (*backend)(nil)
	_ driver.Guarder   = (*backend)(nil)
)

// newBackend makes one client. It sends nothing.
func newBackend(client redis.UniversalClient, s server, prefix string, log *slog.Logger) *backend {
	b := &backend{
		client:  client,
		server:  s,
		prefix:  prefix,
		sender:  newSender(client),
		standby: newStandby(client),
		claims:  make(map[string]struct{}),
	}
	b.listener = &listener{
		client:  client,
		server:  s,
		channel: prefix + "push:" + rand.Text(),
		log:     log,
		claims:  b.tracked,
	}
	return b
}

// Push implements driver.Pusher.
func (b *backend) Push(to driver.Sink) { b.listener.sink = to }

// Claim implements driver.Backend.
func (b *backend) Claim(ctx context.Context, c driver.Claim) (driver.Answer, error) {
	k, ttl := keysOf(b.prefix, c.Name), grant(c.TTL)
	mode := "wait"
	if c.Try {
		mode = "try"
	}
	about := info{Client: c.Client, Owner: c.Owner, Metadata: c.Metadata}.encode()
	b.track(c.ID)
	for {
		heard := b.listener.confirmed.Load()
		call := claimScript.call(append(k.queue(), k.undo(c.ID)), c.ID, ttl.Milliseconds(), mode, b.listener.channel, about)
		if err := b.sender.do(ctx, call); err != nil {
			return driver.Answer{}, b.fault(ctx, err)
		}
		answer, err := b.claimed(newReply(call.Val()))
		if err != nil {
			return driver.Answer{}, err
		}
		answer.TTL = ttl
		switch answer.State {
		case driver.Queued:
			b.listener.start()
			if b.listener.confirmed.Load() != heard {
				// The subscription came into place while this call was out:
				// the claim may have been granted before, unheard, and the
				// engine may have been asked before it knew of the claim.
				continue
			}
			answer.Recheck = b.recheck(answer.Recheck)
		case driver.Refused, driver.Gone:
			b.forget(c.ID)
		}
		return answer, nil
	}
}

// claimed reads the answer of claim.lua.
func (b *backend) claimed(r *reply) (a driver.Answer, err error) {
	switch kind := r.text(0); kind {
	case "held":
		a = driver.Answer{State: driver.Held, Tenure: r.tenure(1)}
	case "queued":
		a = driver.Answer{State: driver.Queued, Waiters: max(0, int(r.number(2))-1), Holder: r.holder(3)}
		a.Recheck = afterHold(r.number(1), r.number(5))
	case "refused":
		a = driver.Answer{State: driver.Refused, Waiters: int(r.number(2)), Holder: r.holder(3)}
	case "gone":
		a = driver.Answer{State: driver.Gone}
	default:
		r.fail(0)
	}
	return a, r.err
}

// afterHold is when the claim at this place should look again: expiry makes no
// event, so the first two watch for it. The hold ends in left milliseconds if
// nobody renews it.
func afterHold(place, left int64) time.Duration {
	if place > 1 || left < 0 {
		return 0
	}
	return millis(left) + recheckDelay + time.Duration(place)*recheckStep
}

func (b *backend) recheck(d time.Duration) time.Duration {
	if b.listener.up.Load() || d > 0 && d < pollWhileDeaf {
		return d
	}
	return pollWhileDeaf
}

// Release implements driver.Backend.
func (b *backend) Release(ctx context.Context, r driver.Release) (found bool, err error) {
	b.forget(r.ID)
	k := keysOf(b.prefix, r.Name)
	undo := int64(0)
	if r.Uncertain {
		undo = max(grant(r.TTL), minUndo).Milliseconds()
	}
	call := releaseScript.call(append(k.queue(), k.undo(r.ID)), r.ID, undo)
	if err := b.sender.do(ctx, call); err != nil {
		return false, b.fault(ctx, err)
	}
	return b.flag(call)
}

// Close implements driver.Backend.
func (b *backend) Close(ctx context.Context) error {
	errListener := b.listener.close(ctx)
	var errClient error
	if b.closing != nil {
		errClient = b.closing() // also ends what still waits for an answer
	}
	return errors.Join(errListener, errClient, b.sender.close(ctx))
}

// grant is what becomes of a TTL that was asked for: Redis counts in whole
// milliseconds.
func grant(ttl time.Duration) time.Duration {
	ttl = min(max(ttl, minTTL), locker.MaxTTL)
	return (ttl + time.Millisecond - 1).Truncate(time.Millisecond)
}

// fault explains an error of the client; that of ctx is left as it is.
func (b *backend) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return b.server.fault(err)
}

// flag reads an answer of 1 or 0.
func (b *backend) flag(c *call) (bool, error) {
	n, ok := c.Val().(int64)
	if !ok {
		return false, fmt.Errorf("redislock: a script answered %T instead of a number", c.Val())
	}
	return n == 1, nil
}

func (b *backend) track(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims[id] = struct{}{}
}

func (b *backend) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.claims, id)
}

func (b *backend) tracked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, 0, len(b.claims))
	for id := range b.claims {
		ids = append(ids, id)
	}
	return ids
}
