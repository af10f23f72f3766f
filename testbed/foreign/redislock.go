package foreign

import (
	"context"
	"errors"
	"time"

	bsm "github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

// redislockLibrary is bsm/redislock over go-redis. Acquire is Obtain with
// LinearBackoff of 100 ms, as in its example of retries; TryAcquire is Obtain
// without. Metadata is Options.Metadata.
var redislockLibrary = Library{
	Name: "redislock", Module: "github.com/bsm/redislock", Scheme: "bsmredislock", Servers: servers.RedisName,
	Key: func(prefix, name string) string { return prefix + name },
	Withholds: map[conformance.Offer]string{
		conformance.OfferTokens:   noTokens,
		conformance.OfferDeadline: noDeadline,
		conformance.OfferReentry:  noOwner,
		conformance.OfferPatience: noPatience,
		conformance.OfferRenewal:  noRenewal,
		conformance.OfferNotice:   noNotice,
	},
	open: func(addr, prefix string) (own, error) {
		client := redis.NewClient(&redis.Options{Addr: addr})
		return &redislockLocker{client: client, locks: bsm.New(client), prefix: prefix}, nil
	},
}

type redislockLocker struct {
	client *redis.Client
	locks  *bsm.Client
	prefix string
}

func (r *redislockLocker) acquire(ctx context.Context, req locker.Request, try bool) (*lock, error) {
	retry := bsm.LinearBackoff(100 * time.Millisecond)
	if try {
		retry = bsm.NoRetry()
	}
	obtained, err := r.locks.Obtain(ctx, r.prefix+req.Name, req.TTL, &bsm.Options{RetryStrategy: retry, Metadata: req.Metadata})
	if try && errors.Is(err, bsm.ErrNotObtained) {
		return nil, held(req.Name, err)
	} else if err != nil {
		return nil, err
	}
	var l *lock
	l = newLock(req.Name, req.TTL, func(ctx context.Context) error {
		if err := obtained.Release(ctx); errors.Is(err, bsm.ErrLockNotHeld) {
			return l.notHeld(err)
		} else if err != nil {
			return err
		}
		return nil
	})
	return l, nil
}

func (r *redislockLocker) Close() error { return r.client.Close() }
