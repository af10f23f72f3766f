package foreign

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

// rueidisLibrary is rueidislock as its README sets it up for one Redis:
// KeyMajority 1 and NoLoopTracking. The validity belongs to its Locker, so
// there is one for each TTL that is asked for. A lock is the context that
// WithContext gives; its end is the loss, and its cancel is Release, which tells
// of no error.
var rueidisLibrary = Library{
	Name: "rueidislock", Module: "github.com/redis/rueidis", Scheme: "rueidislock", Servers: servers.RedisName,
	Key: func(prefix, name string) string { return prefix + ":0:" + name },
	Withholds: map[conformance.Offer]string{
		conformance.OfferTokens:   noTokens,
		conformance.OfferDeadline: noDeadline,
		conformance.OfferReentry:  noOwner,
		conformance.OfferMetadata: noMetadata,
		conformance.OfferPatience: noPatience,
	},
	open: func(addr, prefix string) (own, error) {
		return &rueidisLocker{addr: addr, prefix: prefix, lockers: make(map[time.Duration]rueidislock.Locker)}, nil
	},
}

const attempt = 500 * time.Millisecond

type rueidisLocker struct {
	addr, prefix string

	mu      sync.Mutex // guards lockers
	lockers map[time.Duration]rueidislock.Locker
}

func (r *rueidisLocker) acquire(ctx context.Context, req locker.Request, try bool) (*lock, error) {
	locks, err := r.locker(req.TTL)
	if err != nil {
		return nil, err
	}
	call := locks.WithContext
	if try {
		call = locks.TryWithContext
	}
	// The lock lasts as long as the context that it was asked for with: that is
	// detached from the caller's when it is had.
	lasting, give := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, give)
	tenure, cancel, err := call(lasting, req.Name)
	if !stop() && err == nil {
		cancel()
		err = ctx.Err()
	}
	if err != nil {
		give()
	}
	if ended := ctx.Err(); ended != nil && errors.Is(err, context.Canceled) {
		err = ended // the library was given a context that only gets cancelled
	}
	switch {
	case errors.Is(err, rueidislock.ErrLockerClosed):
		return nil, errors.Join(locker.ErrClosed, err)
	case try && errors.Is(err, rueidislock.ErrNotLocked):
		return nil, held(req.Name, err)
	case err != nil:
		return nil, err
	}
	l := newLock(req.Name, req.TTL, nil)
	l.unlock = func(context.Context) error {
		// cancel tells of nothing, so that only the lock's context can have
		// told. Its end by cancel must not be taken for a loss.
		before := l.Err()
		l.end(locker.ErrReleased)
		cancel()
		give()
		return before
	}
	context.AfterFunc(tenure, func() { l.lose(context.Cause(tenure)) })
	return l, nil
}

func (r *rueidisLocker) locker(ttl time.Duration) (rueidislock.Locker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lockers[ttl]; l != nil {
		return l, nil
	}
	if r.lockers == nil {
		return nil, locker.ErrClosed
	}
	l, err := rueidislock.NewLocker(rueidislock.LockerOption{
		KeyPrefix:      r.prefix,
		KeyValidity:    ttl,
		TryNextAfter:   attempt,
		KeyMajority:    1,
		NoLoopTracking: true,
		ClientOption:   rueidis.ClientOption{InitAddress: []string{r.addr}},
	})
	if err == nil {
		r.lockers[ttl] = l
	}
	return l, err
}

func (r *rueidisLocker) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lockers {
		l.Close()
	}
	r.lockers = nil
	return nil
}
