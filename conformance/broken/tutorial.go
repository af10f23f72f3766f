package broken

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

// An entry is a value in the store that tutorials lock with.
type entry struct {
	value   string
	expires time.Time // zero: never
	number  uint64
}

// tutorials returns the locks that tutorials show.
func tutorials() []Locker {
	var all []Locker
	for _, t := range []struct {
		name, about, caught, says string
		way                       way
	}{
		{"Get, then Put", "Looks whether the key is there, and puts it if not.", "X3", "exactly one of the tries wins", way{getThenPut: true, renews: true}},
		{"Get, then Put, patiently", "The same in a loop.", "X2", "one client is inside", way{getThenPut: true, renews: true}},
		{"Put under a lease", "Creates the key under a lease that nobody keeps alive.", "N1", "hold that is renewed lasts", way{}},
		{"create, delete by name", "Creates the key if it is absent; Release deletes it, whoever's it is.", "O1", "after A's stale release", way{renews: true, deletesByName: true}},
		{"client ID in the value", "Release deletes the key if the value is the client's ID.", "O3", "refused", way{renews: true}},
		{"SET NX, DEL", "SET NX PX, and DEL.", "O1", "after A's stale release", way{deletesByName: true}},
	} {
		w := t.way
		open := func(s *server, wire *link) locker.Locker {
			ctx, stop := context.WithCancel(context.Background())
			return &tutorial{way: w, server: s, link: wire, id: fmt.Sprintf("client-%d", clients.Add(1)), ctx: ctx, stop: stop}
		}
		all = append(all, Locker{t.name, t.about, t.caught, t.says, "a lock that tutorials show", maker{name: t.name, flaw: &flaw{}, other: open}})
	}
	return all
}

// way is how a tutorial locks.
type way struct {
	getThenPut    bool
	renews        bool
	deletesByName bool
}

// A tutorial is a lock as tutorials write it.
type tutorial struct {
	way    way
	server *server
	link   *link
	id     string
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	work   group
}

// ask is one request, which takes a millisecond.
func (t *tutorial) ask(ctx context.Context, f func(store map[string]entry, now time.Time)) error {
	if err := wait(ctx, nil, time.Millisecond); err != nil {
		return err
	}
	return t.link.call(ctx, time.Time{}, t.server, func(*server) {
		t.server.mu.Lock()
		defer t.server.mu.Unlock()
		now := time.Now()
		for name, e := range t.server.store {
			if !e.expires.IsZero() && !now.Before(e.expires) {
				delete(t.server.store, name)
			}
		}
		f(t.server.store, now)
	})
}

func (t *tutorial) TryAcquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	r, err := locker.Resolve(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	taken := false
	if t.way.getThenPut {
		err = t.ask(ctx, func(store map[string]entry, _ time.Time) { _, taken = store[name] })
		if err != nil { // then it may be carried out yet, and taken is not ours to read
			return nil, err
		}
		if taken {
			return nil, &locker.HeldError{Name: name}
		}
	}
	var number uint64
	err = t.ask(ctx, func(store map[string]entry, now time.Time) {
		if _, taken = store[name]; taken && !t.way.getThenPut {
			return
		}
		taken = false
		t.server.tokens[name]++
		number = t.server.tokens[name]
		store[name] = entry{t.id, now.Add(r.TTL), number}
	})
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, &locker.HeldError{Name: name}
	}
	l := &tutorialLock{t: t, name: name, owner: r.Owner, token: number, ttl: r.TTL, done: make(chan struct{}), got: time.Now()}
	if t.way.renews {
		t.work.Go(l.renew)
	}
	return l, nil
}

func (t *tutorial) Acquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	for {
		l, err := t.TryAcquire(ctx, name, opts...)
		if !errors.Is(err, locker.ErrHeld) {
			return l, err
		}
		if err := wait(ctx, t.ctx.Done(), 10*time.Millisecond); err != nil {
			return nil, err
		}
		if t.ctx.Err() != nil {
			return nil, locker.ErrClosed
		}
	}
}

func (t *tutorial) Close() error {
	t.stop()
	<-t.work.quiet()
	return nil
}

type tutorialLock struct {
	t     *tutorial
	name  string
	owner string
	token uint64
	ttl   time.Duration
	got   time.Time
	done  chan struct{}
	once  sync.Once
}

func (l *tutorialLock) renew() {
	ctx, cancel := context.WithCancel(l.t.ctx)
	defer cancel()
	for wait(ctx, l.done, l.ttl/3) == nil && l.Err() == nil {
		_ = l.t.ask(ctx, func(store map[string]entry, now time.Time) {
			if e, ok := store[l.name]; ok && e.value == l.t.id {
				e.expires = now.Add(l.ttl)
				store[l.name] = e
			}
		})
	}
}

func (l *tutorialLock) Name() string          { return l.name }
func (l *tutorialLock) Owner() string         { return l.owner }
func (l *tutorialLock) Token() uint64         { return l.token }
func (l *tutorialLock) TTL() time.Duration    { return l.ttl }
func (l *tutorialLock) Deadline() time.Time   { return l.got.Add(l.ttl) }
func (l *tutorialLock) Done() <-chan struct{} { return l.done }

func (l *tutorialLock) Err() error {
	select {
	case <-l.done:
		return locker.ErrReleased
	default:
		return nil
	}
}

func (l *tutorialLock) Release(ctx context.Context) error {
	again := l.Err()
	l.once.Do(func() { close(l.done) })
	err := l.t.ask(ctx, func(store map[string]entry, _ time.Time) {
		if e, ok := store[l.name]; ok && (l.t.way.deletesByName || e.value == l.t.id) {
			delete(store, l.name)
		}
	})
	return errors.Join(again, err)
}
