package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

// A client is one independent client of the server under test. It puts what it
// does on the timeline, and turns calls that hang into findings.
type client struct {
	locker.Locker
	t      *trial
	label  string
	healed time.Time // when heal last ended a fault of its link; guarded by the trial's mu
}

// A hold is a lock that a client got.
type hold struct {
	locker.Lock
	c     *client
	asked time.Time // just before Acquire was called
	got   time.Time // just after it returned
}

// open connects a further client.
func (t *trial) open(label string, opts ...locker.OpenOption) *client {
	l, err := t.rig.Open(t.ctx, opts...)
	if err != nil {
		t.live()
		t.notShown("client %s could not be opened: %v", label, err)
	}
	return &client{Locker: l, t: t, label: label}
}

// pair opens the two clients that most checks need.
func (t *trial) pair() (a, b *client) { return t.open("A"), t.open("B") }

// clients opens n clients. A few are called by letters, as in what the checks
// say of them; a crowd is numbered.
func (t *trial) clients(n int) []*client {
	list := make([]*client, n)
	for i := range list {
		label := fmt.Sprintf("C%d", i+1)
		if n <= 3 {
			label = string(rune('A' + i))
		}
		list[i] = t.open(label)
	}
	return list
}

// An outcome is what an Acquire or TryAcquire came to.
type outcome struct {
	hold *hold
	err  error
	took time.Duration
}

// hanging is how long after the end of its context a call may still take before
// it counts as hung.
func (t *trial) hanging() time.Duration { return t.ttl() + t.slop() + time.Second }

// acquire calls Acquire and checks that it returns either a lock or an error.
func (c *client) acquire(ctx context.Context, name string, opts ...locker.Option) outcome {
	c.t.event(c.label, "wait", name, 0, "")
	return c.claim(ctx, "Acquire", c.Acquire, name, opts)
}

// try calls TryAcquire.
func (c *client) try(ctx context.Context, name string, opts ...locker.Option) outcome {
	return c.claim(ctx, "TryAcquire", c.TryAcquire, name, opts)
}

func (c *client) claim(ctx context.Context, what string, call func(context.Context, string, ...locker.Option) (locker.Lock, error), name string, opts []locker.Option) outcome {
	t := c.t
	opts = append([]locker.Option{locker.WithTTL(t.ttl())}, opts...)
	var (
		lock locker.Lock
		err  error
		got  time.Time
	)
	asked := time.Now()
	ended := t.bounded(ctx, func() {
		lock, err = call(ctx, name, opts...)
		got = time.Now()
	})
	switch {
	case !ended:
		t.broken(what+" returns when its context ends", "%s of %s was still blocked %s after that", c.label, quote(name), short(t.hanging()))
	case lock == nil && err == nil:
		t.broken(what+" returns a lock or an error", "%s got neither a lock nor an error for %s", c.label, quote(name))
	case lock != nil && err != nil:
		t.broken(what+" returns a lock or an error", "%s got both a lock and the error %q for %s", c.label, err, quote(name))
	}
	t.unsupported(err)
	o := outcome{err: err, took: got.Sub(asked)}
	if lock != nil {
		o.hold = &hold{Lock: lock, c: c, asked: asked, got: got}
		t.event(c.label, "acquire", name, lock.Token(), "")
	} else if what == "Acquire" || !errors.Is(err, locker.ErrHeld) {
		t.event(c.label, "note", name, 0, what+": "+err.Error())
	}
	return o
}

// bounded runs f, and reports false if it has not returned well after ctx, or
// the check, has ended. A panic of f is a finding.
func (t *trial) bounded(ctx context.Context, f func()) bool {
	ended := make(chan struct{})
	panicked := true
	go func() {
		defer close(ended)
		t.protect(func() { f(); panicked = false })
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		if !waitFor(ended, t.hanging()) {
			return false
		}
	case <-t.ctx.Done():
		if !waitFor(ended, t.hanging()) {
			panic(stopped{})
		}
	}
	if panicked {
		panic(stopped{})
	}
	return true
}

// free acquires a name that nobody holds, at once.
func (c *client) free(name string, opts ...locker.Option) *hold {
	t := c.t
	limit := t.ttl() + t.slop()*4
	ctx, cancel := context.WithTimeout(t.ctx, limit)
	defer cancel()
	o := c.acquire(ctx, name, opts...)
	if o.err != nil {
		t.unanswered(o.err)("a free name is acquired at once", "%s could not acquire %s within %s: %v", c.label, quote(name), short(limit), o.err)
	}
	return o.hold
}

// within acquires a name that must become free within d.
func (c *client) within(d time.Duration, expected, name string, opts ...locker.Option) *hold {
	ctx, cancel := context.WithTimeout(c.t.ctx, d)
	defer cancel()
	o := c.acquire(ctx, name, opts...)
	if o.err != nil {
		c.t.unanswered(o.err)(expected, "%s did not get %s within %s: %v", c.label, quote(name), short(d), o.err)
	}
	return o.hold
}

// waiting starts an Acquire in the background. The channel gives its outcome,
// and is closed without one if the check ends.
func (c *client) waiting(ctx context.Context, name string, opts ...locker.Option) <-chan outcome {
	result := make(chan outcome, 1)
	c.t.spawn(func() {
		defer close(result)
		result <- c.acquire(ctx, name, opts...)
	})
	return result
}

// queued is waiting, and gives the server time to see the waiter. It breaks if
// the waiter returned at once.
func (c *client) queued(ctx context.Context, name string, opts ...locker.Option) <-chan outcome {
	t := c.t
	result := c.waiting(ctx, name, opts...)
	select {
	case o, ok := <-result:
		if !ok {
			panic(stopped{})
		}
		if o.err != nil {
			t.unanswered(o.err)("Acquire of a held name waits", "%s got %v after %s", c.label, o.err, short(o.took))
		}
		t.broken("Acquire of a held name waits", "%s got the lock while it was held", c.label)
	case <-time.After(t.spacing()):
	case <-t.ctx.Done():
		panic(stopped{})
	}
	return result
}

// spacing is how far apart two requests are sent whose order matters.
func (t *trial) spacing() time.Duration {
	if t.profile.Bubble {
		return t.ttl() / 20
	}
	return max(t.ttl()/10, 150*time.Millisecond)
}

// grant waits up to d for the outcome of a waiter, which must be a lock.
func (t *trial) grant(result <-chan outcome, d time.Duration, expected string) *hold {
	o, ok := t.outcomeWithin(result, d)
	if !ok {
		t.overdue(expected, "the waiter had not returned after %s", short(d))
	}
	if o.err != nil {
		t.unanswered(o.err)(expected, "the waiter got %v", o.err)
	}
	return o.hold
}

// outcomeWithin waits up to d for the outcome of a waiter.
func (t *trial) outcomeWithin(result <-chan outcome, d time.Duration) (outcome, bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case o, ok := <-result:
		if !ok {
			panic(stopped{})
		}
		return o, true
	case <-timer.C:
		return outcome{}, false
	case <-t.ctx.Done():
		panic(stopped{})
	}
}

// Release puts the release on the timeline when it begins, because from then on
// the client no longer believes in its hold. The return would be too late: the
// next holder may be in by then, and the timeline would show two.
func (h *hold) Release(ctx context.Context) error {
	h.c.t.event(h.c.label, "release", h.Name(), h.Token(), "")
	return h.Lock.Release(ctx)
}

// Close puts the end of all that the client has on the timeline.
func (c *client) Close() error {
	c.t.event(c.label, "close", "", 0, "")
	return c.Locker.Close()
}

// release releases h and returns what Release said.
func (h *hold) release() error { return h.releaseUnder(h.c.t.ctx) }

func (h *hold) releaseUnder(ctx context.Context) error {
	t := h.c.t
	var err error
	if !t.bounded(limited(ctx, t), func() { err = h.Release(ctx) }) {
		t.broken("Release returns by the Deadline of the hold", "%s was still blocked releasing %s", h.c.label, quote(h.Name()))
	}
	if err != nil {
		t.event(h.c.label, "note", h.Name(), h.Token(), "Release: "+err.Error())
	}
	return err
}

// limited is done when a Release that began now must have returned.
func limited(ctx context.Context, t *trial) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*t.ttl()+t.slop())
	context.AfterFunc(t.ctx, cancel)
	return ctx
}

// drop releases h, which must succeed.
func (h *hold) drop() {
	h.outlived()
	if err := h.release(); err != nil {
		h.c.t.unanswered(err)("Release of a live hold returns nil", "%s, releasing %s: %v", h.c.label, quote(h.Name()), err)
	}
}

// held asserts that the hold is live.
func (h *hold) held(when string) {
	h.outlived()
	if err := h.Err(); err != nil {
		h.c.t.unanswered(err)("the hold lasts", "%s lost %s %s: %v", h.c.label, quote(h.Name()), when, err)
	}
	if isClosed(h.Done()) {
		h.c.t.broken("Done stays open while the hold lasts", "Done of %s was closed %s, with Err nil", quote(h.Name()), when)
	}
}

// lost waits up to d for the hold to be reported lost.
func (h *hold) lost(d time.Duration, expected string) *locker.LostError {
	t := h.c.t
	if !t.closesWithin(h.Done(), d) {
		t.broken(expected, "%s was not told within %s: Done was open, Err %v", h.c.label, short(d), h.Err())
	}
	err := h.Err()
	var lost *locker.LostError
	if !errors.Is(err, locker.ErrLost) || !errors.As(err, &lost) {
		t.broken(expected, "Done closed, and Err was %v, which is no *LostError", err)
	}
	h.drawLoss(lost)
	return lost
}

// drawLoss puts a loss on the timeline. The check may look long after the client
// was told.
func (h *hold) drawLoss(lost *locker.LostError) {
	at := time.Now()
	if lost.At.After(h.got) && lost.At.Before(at) {
		at = lost.At
	}
	h.c.t.eventAt(at, h.c.label, "lost", h.Name(), h.Token(), lost.Reason.String())
}

// refused asserts that a try at a held name fails as it should, and that the
// answer does not wait for anything.
func (c *client) refused(name, when string, opts ...locker.Option) {
	t := c.t
	ctx, cancel := context.WithTimeout(t.ctx, t.ttl())
	defer cancel()
	o := c.try(ctx, name, opts...)
	switch {
	case o.hold != nil:
		t.broken("a held name is refused", "%s was granted %s %s (token %d)", c.label, quote(name), when, o.hold.Token())
	case !errors.Is(o.err, locker.ErrHeld):
		t.unanswered(o.err)("a held name is refused with ErrHeld", "%s got %v for %s %s", c.label, o.err, quote(name), when)
	}
}

// unanswered is how a finding is reported that shows in an error: overdue or lapsed
// if a server that stood still makes a right client return it, else broken.
func (t *trial) unanswered(err error) func(expected, seen string, args ...any) {
	var (
		late *locker.ReleaseError
		lost *locker.LostError
	)
	switch {
	case errors.As(err, &lost):
		if lost.Reason == locker.LostExpired {
			return t.lapsed
		}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, locker.ErrUnavailable), errors.As(err, &late):
		return t.overdue
	}
	return t.broken
}

// quote prints a name short enough for a report.
func quote(name string) string {
	if len(name) > 40 {
		return fmt.Sprintf("%+.40q…", name)
	}
	return fmt.Sprintf("%+q", name)
}
