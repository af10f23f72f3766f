package redislock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
	"github.com/redis/go-redis/v9"
)

// openTimeout is how long opening may take when its context does not say less.
const openTimeout = 10 * time.Second

func init() {
	locker.Register("redis", openURL)
	locker.Register("rediss", openURL)
}

func openURL(ctx context.Context, rawURL string, opts ...locker.OpenOption) (locker.Locker, error) {
	o, fromURL, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	tune(o)
	s := serverOf(o)
	client := redis.NewClient(o)
	l, err := open(client, s, client.Close, append(fromURL, opts...))
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	if err := probe(ctx, client, s, l.prefix); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// probe asks the server whether it is there, lets us in, and runs the scripts.
func probe(parent context.Context, client redis.UniversalClient, s server, prefix string) error {
	ctx, cancel := context.WithTimeout(parent, openTimeout)
	defer cancel()
	check := checkScript.call([]string{keysOf(prefix, "probe").undo("probe")}, prefix+"push:probe")
	check.bySource()
	p := newSender(client)
	defer close(p.quit)
	err := p.alone(ctx, check, nil)
	if err == nil {
		return nil
	}
	if cause := context.Cause(parent); cause != nil {
		return fmt.Errorf("redislock: redis at %s was not reached before the opening was given up: %w", s.address, cause)
	}
	return s.fault(err)
}
