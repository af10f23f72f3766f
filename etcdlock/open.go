package etcdlock

import (
	"context"
	"errors"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Locker is a locker.Locker on etcd.
type Locker struct {
	*driver.Locker
	client *clientv3.Client
	prefix string
	txn    txnStore
}

var _ locker.Locker = (*Locker)(nil)

// EtcdClient returns the client that the Locker uses, for stores of the same
// server. It is closed with the Locker if Open made it.
func (l *Locker) EtcdClient() *clientv3.Client { return l.client }

// EtcdPrefix returns the prefix of the Locker's keys.
func (l *Locker) EtcdPrefix() string { return l.prefix }

// New returns a Locker that uses client and does not close it. It asks the
// server nothing. Every error is ErrInvalid. The result is a *Locker.
//
// A connection that goes dead without a sign is found in about a second on a
// client that locker.Open made. On a client that was passed in, it is found when
// that client's own DialKeepAliveTime and DialKeepAliveTimeout say so, which
// gRPC bounds from below by 10 s: a hold with a shorter lease is told by its
// deadline.
//
// Leases and watches use client.Lease's connection and client.Watcher. A client
// wrapped with etcd's namespace package works; one without a connection of its
// own (clientv3.NewCtxClient) is ErrInvalid.
func New(client *clientv3.Client, opts ...locker.OpenOption) (locker.Locker, error) {
	cfg, err := locker.ResolveOpen(opts...)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, invalidf("the client is nil")
	}
	if client.ActiveConnection() == nil {
		return nil, invalidf("the client has no connection of its own")
	}
	s, err := takeSettings(&cfg)
	if err != nil {
		return nil, err
	}
	return newLocker(cfg, client, s, nil)
}

// settings are the options of this package, checked.
type settings struct {
	keys  keyspace
	mode  Mode
	clock driver.Clock
}

func takeSettings(cfg *locker.Config) (settings, error) {
	s := settings{clock: driver.TakeClock(cfg, driver.SystemClock())}
	prefix := ""
	if v, ok := cfg.Backend(prefixKey{}); ok {
		if prefix = v.(string); prefix == "" {
			return settings{}, invalidf("the prefix is empty")
		}
	}
	if v, ok := cfg.Backend(modeKey{}); ok {
		if s.mode = v.(Mode); s.mode != Lease && s.mode != Session {
			return settings{}, invalidf("unknown %v", s.mode)
		}
	}
	var err error
	if s.keys, err = newKeyspace(prefix); err != nil {
		return settings{}, err
	}
	return s, cfg.Unused()
}

// newLocker makes a Locker. dead watches the connections of a client of our own;
// it is nil for that of a caller.
func newLocker(cfg locker.Config, client *clientv3.Client, s settings, dead *deadwatch) (locker.Locker, error) {
	owned := dead != nil
	var b driver.Backend
	if s.mode == Session {
		b = newSessionBackend(client, s.keys, s.clock, cfg.Logger, owned)
	} else {
		b = newBackend(client, s.keys, s.clock, cfg.Logger, owned)
	}
	l := &Locker{Locker: driver.New(cfg, b, s.clock), client: client, prefix: s.keys.prefix}
	l.OnClose(func(ctx context.Context) {
		l.closeStore(ctx)
		if owned {
			dead.close()
		}
	})
	return l, nil
}

// closeClient closes a client that this package made. The end of its context,
// which it reports, is what Close is for.
func closeClient(client *clientv3.Client) error {
	if err := client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
