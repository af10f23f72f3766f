package foreign

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

// redsyncLibrary is redsync over one pool of go-redis. Acquire is LockContext
// with WithTries as large as can be, because the default gives up after 32;
// TryAcquire is TryLockContext. The deadline is Until, and the lock counts as
// lost from then on.
var redsyncLibrary = Library{
	Name: "redsync", Module: "github.com/go-redsync/redsync/v4", Scheme: "redsync", Servers: servers.RedisName,
	Key: func(prefix, name string) string { return prefix + name },
	Withholds: map[conformance.Offer]string{
		conformance.OfferTokens:   noTokens,
		conformance.OfferReentry:  noOwner,
		conformance.OfferMetadata: noMetadata,
		conformance.OfferPatience: noPatience,
		conformance.OfferRenewal:  noRenewal,
	},
	open: func(addr, prefix string) (own, error) {
		client := redis.NewClient(&redis.Options{Addr: addr})
		return &redsyncLocker{client: client, rs: redsync.New(goredis.NewPool(client)), prefix: prefix}, nil
	},
}

type redsyncLocker struct {
	client *redis.Client
	rs     *redsync.Redsync
	prefix string
}

func (r *redsyncLocker) acquire(ctx context.Context, req locker.Request, try bool) (*lock, error) {
	m := r.rs.NewMutex(r.prefix+req.Name, redsync.WithExpiry(req.TTL), redsync.WithTries(math.MaxInt32))
	call := m.LockContext
	if try {
		call = m.TryLockContext
	}
	if err := call(ctx); try && isTaken(err) {
		return nil, held(req.Name, err)
	} else if err != nil {
		return nil, err
	}
	var l *lock
	l = newLock(req.Name, req.TTL, func(ctx context.Context) error {
		ok, err := m.UnlockContext(ctx)
		switch {
		case errors.Is(err, redsync.ErrLockAlreadyExpired) || isTaken(err):
			return l.notHeld(err)
		case err != nil:
			return err
		case !ok:
			return l.notHeld(errors.New("redsync: Unlock said false"))
		}
		return nil
	})
	l.until = m.Until
	time.AfterFunc(time.Until(m.Until()), func() { l.lose(errors.New("redsync: Until has passed")) })
	return l, nil
}

func (r *redsyncLocker) Close() error { return r.client.Close() }

func isTaken(err error) bool {
	var taken *redsync.ErrTaken
	return errors.As(err, &taken)
}
