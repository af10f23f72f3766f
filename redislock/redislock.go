package redislock

import (
	"fmt"
	"reflect"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/redis/go-redis/v9"
)

// A Locker keeps locks on one Redis primary. It is what New and locker.Open
// return, for those who find it with locker.As.
type Locker struct {
	*driver.Locker
	client redis.UniversalClient
	prefix string
}

var _ locker.Locker = (*Locker)(nil)

// Client returns the client that the Locker uses: the one given to New, or its
// own, which its Close closes.
func (l *Locker) Client() redis.UniversalClient { return l.client }

type prefixKey struct{}

// WithPrefix sets what every key and channel begins with: 1 to 256 bytes of
// UTF-8 without braces and spaces. Lockers with different prefixes never share
// a lock. The default is DefaultPrefix.
func WithPrefix(p string) locker.OpenOption { return locker.WithBackend(prefixKey{}, p) }

// New makes a Locker that uses client, and does not close it. Nothing is sent
// until the first call.
//
// The client must talk to one primary: a *redis.Client, also one made by
// redis.NewFailoverClient. A cluster or ring is ErrInvalid. A client that
// routes commands to replicas must not be used.
//
// Its timeouts are those of its Options: an answer that takes longer than
// ReadTimeout, 3 s by default, is a failed attempt, also of a renewal. Set it to
// the TTL at least, or let Open make the client, which does so for renewals.
func New(client redis.UniversalClient, opts ...locker.OpenOption) (locker.Locker, error) {
	if isNil(client) {
		return nil, fmt.Errorf("%w: the redis client is nil", locker.ErrInvalid)
	}
	switch client.(type) {
	case *redis.ClusterClient, *redis.Ring:
		return nil, fmt.Errorf("%w: a %T spreads its keys over several servers, which is not offered yet: give a *redis.Client of one primary", locker.ErrInvalid, client)
	}
	l, err := open(client, describe(client), nil, opts)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// open makes a Locker; closing closes the client if that is ours.
func open(client redis.UniversalClient, s server, closing func() error, opts []locker.OpenOption) (*Locker, error) {
	cfg, err := locker.ResolveOpen(opts...)
	if err != nil {
		return nil, err
	}
	prefix := DefaultPrefix
	if given, ok := cfg.Backend(prefixKey{}); ok {
		prefix = given.(string)
	}
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	clock := driver.TakeClock(&cfg, driver.SystemClock())
	if err := cfg.Unused(); err != nil {
		return nil, err
	}
	b := newBackend(client, s, prefix, cfg.Logger)
	b.closing = closing
	return &Locker{Locker: driver.New(cfg, b, clock), client: client, prefix: prefix}, nil
}

// describe says what is known about the server of a caller's client.
func describe(client redis.UniversalClient) server {
	c, ok := client.(*redis.Client)
	if !ok {
		return server{address: "the address of the given client"}
	}
	return serverOf(c.Options())
}

func serverOf(o *redis.Options) server {
	s := server{address: o.Addr, tls: o.TLSConfig != nil}
	if o.Password != "" {
		s.secrets = []string{o.Password}
	}
	return s
}

func isNil(client redis.UniversalClient) bool {
	if client == nil {
		return true
	}
	v := reflect.ValueOf(client)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
