package foreign

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

// etcdMutex is the Mutex of etcd's client. It excludes sessions, by its
// documentation and its examples: two Mutexes of one Session have one key, and
// both hold. Each acquire competes here, so that each has a Session of its own,
// which is closed after Unlock as the examples do. The token is the revision of
// Header, the deadline is not told, and the loss is Session.Done.
var etcdMutex = Library{
	Name: "etcd concurrency.Mutex", Module: "go.etcd.io/etcd/client/v3", Scheme: "etcdmutex", Servers: servers.EtcdName, FIFO: true,
	Key: func(prefix, name string) string { return prefix + name + "/" },
	Withholds: map[conformance.Offer]string{
		conformance.OfferDeadline: noDeadline,
		conformance.OfferReentry:  noOwner,
		conformance.OfferMetadata: noMetadata,
		conformance.OfferPatience: noPatience,
	},
	open: func(addr, prefix string) (own, error) {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
		if err != nil {
			return nil, err
		}
		return &etcdLocker{client: client, prefix: prefix, sessions: make(map[*concurrency.Session]bool)}, nil
	},
}

type etcdLocker struct {
	client *clientv3.Client
	prefix string

	mu       sync.Mutex // guards what follows
	sessions map[*concurrency.Session]bool
	closed   bool
}

func (e *etcdLocker) acquire(ctx context.Context, r locker.Request, try bool) (*lock, error) {
	seconds := int((r.TTL + time.Second - 1) / time.Second) // what a session takes
	s, ttl, err := e.session(ctx, seconds)
	if err != nil {
		return nil, err
	}
	m := concurrency.NewMutex(s, e.prefix+r.Name)
	call := m.Lock
	if try {
		call = m.TryLock
	}
	if err := call(ctx); err != nil {
		e.end(s)
		if errors.Is(err, concurrency.ErrLocked) {
			err = held(r.Name, err)
		}
		return nil, err
	}
	var (
		l         *lock
		releasing atomic.Bool // from then on the end of the session is no loss
	)
	l = newLock(r.Name, ttl, func(ctx context.Context) error {
		releasing.Store(true)
		defer e.end(s)
		if err := m.Unlock(ctx); errors.Is(err, concurrency.ErrLockReleased) {
			return l.notHeld(err)
		} else if err != nil {
			return err
		}
		return nil
	})
	l.token = uint64(m.Header().Revision)
	go func() {
		select {
		case <-s.Done():
			if !releasing.Load() {
				l.lose(concurrency.ErrSessionExpired)
			}
		case <-l.done:
		}
	}()
	return l, nil
}

// session makes a session. NewSession takes no context of its caller's but one
// that would end the session too, so that a caller who gives up leaves it to be
// closed when it has come about. A Session does not tell how long a lease it was
// granted, so it gets one, as WithLease allows, instead of asking for its own.
func (e *etcdLocker) session(ctx context.Context, seconds int) (*concurrency.Session, time.Duration, error) {
	type made struct {
		s   *concurrency.Session
		ttl time.Duration
		err error
	}
	ready := make(chan made)
	go func() {
		var s *concurrency.Session
		lease, err := e.client.Grant(e.client.Ctx(), int64(seconds))
		if err == nil {
			s, err = concurrency.NewSession(e.client, concurrency.WithLease(lease.ID), concurrency.WithTTL(int(lease.TTL)))
		}
		if err != nil {
			lease = &clientv3.LeaseGrantResponse{}
		}
		ttl := time.Duration(lease.TTL) * time.Second
		if err == nil && !e.keep(s) {
			_ = s.Close()
			s, err = nil, locker.ErrClosed
		}
		select {
		case ready <- made{s, ttl, err}:
		case <-ctx.Done():
			if err == nil {
				e.end(s)
			}
		}
	}()
	select {
	case m := <-ready:
		return m.s, m.ttl, m.err
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// keep remembers a session for Close. It is false after Close.
func (e *etcdLocker) keep(s *concurrency.Session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.sessions[s] = true
	}
	return !e.closed
}

// end closes a session, once. Cut off, it takes as long as the lease.
func (e *etcdLocker) end(s *concurrency.Session) {
	e.mu.Lock()
	live := e.sessions[s]
	delete(e.sessions, s)
	e.mu.Unlock()
	if live {
		_ = s.Close() // else its lease runs out
	}
}

// Close closes the sessions that are there. It may be cut off: then their
// leases run out.
func (e *etcdLocker) Close() error {
	e.mu.Lock()
	e.closed = true
	sessions := slices.Collect(maps.Keys(e.sessions))
	e.mu.Unlock()
	var closing sync.WaitGroup
	for _, s := range sessions {
		closing.Go(func() { e.end(s) })
	}
	closing.Wait()
	return e.client.Close()
}
