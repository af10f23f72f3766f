package broken

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
)

// maker makes rigs in a bubble.
type maker struct {
	name  string
	flaw  *flaw
	other func(*server, *link) locker.Locker // a lock that is written out
}

func (m maker) Profile() conformance.Profile {
	return conformance.Profile{
		Backend: m.name, Server: "maps in this process", TTL: time.Second, Slack: 100 * time.Millisecond,
		FIFO: true, Bubble: true,
		GivesWay: gives(),
	}
}

func (m maker) Make(context.Context) (conformance.Rig, error) {
	return &rig{maker: m, server: newServer(m.flaw), links: make(map[locker.Locker]*link)}, nil
}

type rig struct {
	maker  maker
	server *server

	mu      sync.Mutex // guards all below
	lockers []locker.Locker
	links   map[locker.Locker]*link
}

var (
	_ conformance.Linker    = (*rig)(nil)
	_ conformance.Crasher   = (*rig)(nil)
	_ conformance.Evictor   = (*rig)(nil)
	_ conformance.Observer  = (*rig)(nil)
	_ conformance.Shared    = (*rig)(nil)
	_ conformance.Suspender = (*rig)(nil)
)

func (r *rig) Open(_ context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	var (
		l    locker.Locker
		wire = newLink()
	)
	if r.maker.other != nil {
		l = r.maker.other(r.server, wire)
	} else {
		c, err := r.server.open(opts...)
		if err != nil {
			return nil, err
		}
		l, wire = c, c.link
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lockers = append(r.lockers, l)
	r.links[l] = wire
	return l, nil
}

func (r *rig) OpenShared(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, func(context.Context) error, error) {
	l, err := r.Open(ctx, opts...)
	if err != nil {
		return nil, nil, err
	}
	c, ok := l.(*client)
	if !ok {
		return nil, nil, errors.ErrUnsupported
	}
	c.shared = r.server
	return l, func(context.Context) error {
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		if r.server.closed {
			return errors.New("the client is closed")
		}
		return nil
	}, nil
}

func (r *rig) Close() error {
	err := errors.Join(r.ReconnectServer(context.Background()), r.ResumeServer(context.Background()), r.RestartServer(context.Background()))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, wire := range r.links {
		wire.set(wire.proceed)
		wire.set(wire.readOn)
		wire.set(wire.conn.renew)
		wire.set(func() { wire.cut, wire.up, wire.down, wire.drop, wire.crashed = 0, 0, 0, 0, false })
	}
	errs := []error{err}
	for _, l := range r.lockers {
		errs = append(errs, l.Close())
	}
	for _, l := range r.lockers {
		if c := clientOf(l); c != nil {
			_ = wait(context.Background(), c.after.quiet(), 5*time.Second)
		}
	}
	for _, wire := range r.links {
		wire.end()
	}
	return errors.Join(errs...)
}

// clientOf returns the client that l is or has, or nil.
func clientOf(l locker.Locker) *client {
	switch l := l.(type) {
	case *client:
		return l
	case *process:
		return l.client
	}
	return nil
}

func (r *rig) disturb(l locker.Locker, f func(*link)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	wire := r.links[l]
	if wire == nil {
		return fmt.Errorf("broken: %T was not opened here", l)
	}
	wire.set(func() { f(wire) })
	return nil
}

func (r *rig) Cut(l locker.Locker, d conformance.Direction) error {
	return r.disturb(l, func(w *link) { w.cut |= d })
}

func (r *rig) Heal(l locker.Locker) error {
	err := r.disturb(l, func(w *link) {
		w.cut, w.up, w.down = 0, 0, 0
		w.readOn()
	})
	r.server.catchUp()
	return err
}

func (r *rig) Delay(l locker.Locker, dir conformance.Direction, d time.Duration) error {
	return r.disturb(l, func(w *link) {
		if dir&conformance.Up != 0 {
			w.up = d
		}
		if dir&conformance.Down != 0 {
			w.down = d
		}
	})
}

func (r *rig) DropReplies(l locker.Locker, n int) error {
	return r.disturb(l, func(w *link) { w.drop = n })
}

func (r *rig) Crash(l locker.Locker) error {
	return r.disturb(l, func(w *link) { w.crashed = true })
}

func (r *rig) Evict(_ context.Context, name string) error {
	if r.server.end(name, 0) {
		return nil
	}
	return fmt.Errorf("broken: nobody holds %q", name)
}

func (r *rig) Residue(context.Context) ([]string, error) { return r.server.left(), nil }

func (r *rig) Requests() int64 { return r.server.requests.Load() }

func (r *rig) Suspend(l locker.Locker, d time.Duration) error {
	c, ok := l.(*client)
	if !ok {
		return errors.ErrUnsupported
	}
	c.slept.Add(int64(d))
	return nil
}
