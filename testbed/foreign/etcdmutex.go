package foreign

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

// etcdMutex is the Mutex of etcd's client. Its documentation makes one Session
// for each competitor, and that is what a Locker is here: one Session for each
// TTL that is asked for, and a new Mutex for each lock. The token is the
// revision of Header, the deadline is not told, and the loss is Session.Done.
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
		return &etcdLocker{client: client, prefix: prefix, sessions: make(map[int]*etcdSession)}, nil
	},
}

type etcdLocker struct {
	client *clientv3.Client
	prefix string

	mu       sync.Mutex // guards sessions
	sessions map[int]*etcdSession
}

func (e *etcdLocker) acquire(ctx context.Context, r locker.Request, try bool) (locker.Lock, error) {
	seconds := int((r.TTL + time.Second - 1) / time.Second) // what a session takes
	s, err := e.session(ctx, seconds)
	if err != nil {
		return nil, err
	}
	m := concurrency.NewMutex(s, e.prefix+r.Name)
	call := m.Lock
	if try {
		call = m.TryLock
	}
	if err := call(ctx); errors.Is(err, concurrency.ErrLocked) {
		return nil, held(r.Name, err)
	} else if err != nil {
		return nil, err
	}
	var l *lock
	l = newLock(r.Name, time.Duration(seconds)*time.Second, func(ctx context.Context) error {
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
			l.lose(concurrency.ErrSessionExpired)
		case <-l.done:
		}
	}()
	return l, nil
}

// An etcdSession is a session that is made, or being made: NewSession takes no
// context of its caller's.
type etcdSession struct {
	ready chan struct{} // closed when the rest is there
	s     *concurrency.Session
	err   error
}

func (e *etcdSession) over() bool {
	select {
	case <-e.ready:
	default:
		return false
	}
	if e.err != nil {
		return true
	}
	select {
	case <-e.s.Done():
		return true
	default:
		return false
	}
}

// session returns a session that was live when it was last heard of.
func (e *etcdLocker) session(ctx context.Context, seconds int) (*concurrency.Session, error) {
	e.mu.Lock()
	made := e.sessions[seconds]
	if made == nil || made.over() {
		made = &etcdSession{ready: make(chan struct{})}
		e.sessions[seconds] = made
		go func() {
			defer close(made.ready)
			made.s, made.err = concurrency.NewSession(e.client, concurrency.WithTTL(seconds))
		}()
	}
	e.mu.Unlock()
	select {
	case <-made.ready:
		return made.s, made.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close closes the sessions that are there. It may be cut off: then their
// leases run out.
func (e *etcdLocker) Close() error {
	e.mu.Lock()
	sessions := slices.Collect(maps.Values(e.sessions))
	e.mu.Unlock()
	var closing sync.WaitGroup
	for _, made := range sessions {
		select {
		case <-made.ready:
			if made.err == nil {
				closing.Go(func() { _ = made.s.Close() })
			}
		default:
		}
	}
	closing.Wait()
	return e.client.Close()
}
