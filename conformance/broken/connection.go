package broken

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
)

var (
	_ conformance.Resetter   = (*rig)(nil)
	_ conformance.HalfOpener = (*rig)(nil)
	_ conformance.Staller    = (*rig)(nil)
)

// A connection is what a link runs over. Guarded by link.mu.
type connection struct {
	kept    bool          // the client never gives it up
	reset   bool          // the next request finds that out
	dead    chan struct{} // not nil while it is half open; closed when the client connects anew
	missed  int64         // requests that met a dead connection
	stalled chan struct{} // not nil while the client reads nothing
	unread  int64         // what has come meanwhile
	late    int64         // what it read late so far
}

// silence is how long a right client bears a connection that says nothing.
const silence = 20 * time.Millisecond

var (
	errBroken = errors.New("broken: the connection ended")
	errReset  = fmt.Errorf("%w by a reset", errBroken)
)

// connections are lockers that mistake what happens to a connection for what
// happens to a hold, or the other way round.
func connections() []spoiledLock {
	return []spoiledLock{
		{"keeps its connection", "A connection that says nothing is waited for, for ever.", "S16", "the hold lasts", flaw{keepsConnection: true}},
		{"believes late news", "A grant that is pushed counts from when it is read.", "S17", "read when its lease is over gives no lock", flaw{believesPush: true}},
		{"one connection, one hold", "A renewal that fails is taken for a loss.", "S19", "the hold lasts", flaw{givesUp: true}},
	}
}

// meets is what a request meets on the connection, before it leaves.
func (l *link) meets(ctx context.Context, deadline time.Time) error {
	l.mu.Lock()
	c := &l.conn
	dead, reset := c.dead, c.reset
	c.reset = false
	if dead != nil {
		if c.missed++; !c.kept {
			time.AfterFunc(silence, func() { l.set(c.renew) })
		}
	}
	l.mu.Unlock()
	switch {
	case reset:
		return errReset
	case dead == nil:
		return nil
	}
	if err := waitUntil(ctx, dead, deadline); err != nil {
		return err
	}
	return errBroken
}

// renew replaces a dead connection. link.mu is held.
func (c *connection) renew() {
	if c.dead != nil {
		close(c.dead)
		c.dead = nil
	}
}

// reads waits while the client reads nothing.
func (l *link) reads(ctx context.Context, deadline time.Time) error {
	l.mu.Lock()
	stalled := l.conn.stalled
	if stalled != nil {
		l.conn.unread++
	}
	l.mu.Unlock()
	if stalled == nil {
		return nil
	}
	return waitUntil(ctx, stalled, deadline)
}

// readOn ends a stall. mu is held.
func (l *link) readOn() {
	if l.conn.stalled != nil {
		close(l.conn.stalled)
		l.conn.stalled = nil
	}
	l.conn.late, l.conn.unread = l.conn.late+l.conn.unread, 0
}

func (r *rig) Reset(l locker.Locker) (n int, err error) {
	return 1, r.disturb(l, func(w *link) { w.conn.reset = true })
}

func (r *rig) HalfOpen(l locker.Locker) error {
	return r.disturb(l, func(w *link) {
		if w.conn.dead == nil {
			w.conn.dead = make(chan struct{})
		}
	})
}

func (r *rig) Swallowed(l locker.Locker) (n int64, err error) {
	err = r.disturb(l, func(w *link) { n = w.conn.missed })
	return n, err
}

func (r *rig) Stall(l locker.Locker) error {
	return r.disturb(l, func(w *link) {
		if w.conn.stalled == nil {
			w.conn.stalled = make(chan struct{})
		}
	})
}

func (r *rig) Unstall(l locker.Locker) error { return r.disturb(l, (*link).readOn) }

func (r *rig) Late(l locker.Locker) (n int64, err error) {
	err = r.disturb(l, func(w *link) { n = w.conn.late })
	return n, err
}
