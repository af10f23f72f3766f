package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

func cancelChecks() []Check {
	return []Check{
		{ID: "C1", Class: Required, Within: 6, body: c1,
			Rule: "A context that has ended never acquires, and its error and cause are returned."},
		{ID: "C2", Class: Required, Within: 8, body: c2,
			Rule: "Cancelling a waiter returns within T/4 and leaves no ghost in the queue."},
		{ID: "C3", Class: Required, Within: 60, body: c3,
			Rule: "A cancellation that races with the grant ends in a lock or an error, and the name is never stuck."},
		{ID: "C4", Class: Required, Within: 8, body: c4,
			Rule: "The context of Acquire bounds only the call: the hold outlives it."},
		{ID: "C5", Class: Required, Within: 8, body: c5,
			Rule: "Release under a context that has ended frees the name."},
		{ID: "C6", Class: Required, Within: 10, body: c6, Needs: []Power{PowerLinks},
			Rule: "A deadline shorter than a round trip gives the context's error with its cause, never ErrHeld."},
		{ID: "C7", Class: Required, Within: 8, body: c7,
			Rule: "WithMaxWait gives *HeldError after that long, and leaves no ghost."},
	}
}

var errWhy = errors.New("the reason that the check gave")

// endedBy checks that err carries the error of a context and its cause.
func (t *trial) endedBy(err, want error, what string) {
	if !errors.Is(err, want) || !errors.Is(err, errWhy) {
		t.broken("the error matches the context's error and its cause", "%s returned %v", what, err)
	}
	if errors.Is(err, locker.ErrHeld) {
		t.broken("a context that ended is not ErrHeld", "%s returned %v", what, err)
	}
}

func c1(t *trial) {
	a, b := t.pair()
	ctx, cancel := context.WithCancelCause(t.ctx)
	cancel(errWhy)
	t.step("A acquires and tries a free name under a cancelled context")
	for range 10 {
		for what, call := range map[string]func(context.Context, string, ...locker.Option) outcome{"Acquire": a.acquire, "TryAcquire": a.try} {
			o := call(ctx, "c1")
			if o.hold != nil {
				t.broken("a context that has ended never acquires", "%s returned a lock", what)
			}
			t.endedBy(o.err, context.Canceled, what)
		}
	}
	b.within(t.prompt(), "what failed left nothing behind", "c1").drop()
}

func c2(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("c2")
	ctx, cancel := context.WithCancelCause(t.ctx)
	next := b.queued(ctx, "c2")
	t.step("A holds, B waits, B is cancelled, A releases, C acquires")
	cancel(errWhy)
	o, ok := t.outcomeWithin(next, t.prompt())
	if !ok {
		t.broken("a cancelled waiter returns within T/4", "it was still blocked after %s", short(t.prompt()))
	}
	if o.hold != nil {
		t.broken("a cancelled waiter does not get a held name", "it got a lock while A held it")
	}
	t.endedBy(o.err, context.Canceled, "Acquire")
	h.held("while B was cancelled")
	t.sleep(t.spacing())
	h.drop()
	c.within(t.prompt(), "a cancelled waiter leaves no ghost in the queue", "c2").drop()
}

func c3(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	rounds := t.rounds(1000, 150)
	if _, ok := t.rig.(Linker); ok && t.profile.Bubble {
		t.delay(b, Down, t.raceWindow()) // or a grant would arrive in no time
	}
	locks, errs := 0, 0
	t.step("A releases, and B is cancelled at about the instant of the grant, up to %d times", rounds)
	// How long a grant takes is not known, and changes: a lock means that the
	// cancellation came too late, an error too early, and the next one is aimed
	// accordingly.
	aim, began := t.raceWindow(), time.Now()
	for i := range rounds {
		if enough := locks >= 20 && errs >= 20; enough && time.Since(began) > 2*t.ttl() {
			break
		}
		h := a.free("c3")
		ctx, cancel := context.WithCancelCause(t.ctx)
		next := b.waiting(ctx, "c3")
		t.sleep(2 * t.raceWindow())
		d := aim/2 + time.Duration(t.rand(int64(aim)+1))
		t.each(2, func(j int) {
			if j == 0 {
				h.drop()
				return
			}
			t.sleep(d)
			cancel(errWhy)
		})
		o, ok := t.outcomeWithin(next, t.ttl())
		switch {
		case !ok:
			t.broken("a cancelled waiter returns", "round %d: it was still blocked after one TTL", i+1)
		case o.hold != nil:
			locks++
			o.hold.held("though its Acquire had just returned")
			o.hold.drop()
			aim = max(aim*3/4, 10*time.Microsecond)
		default:
			errs++
			t.endedBy(o.err, context.Canceled, "Acquire")
			aim = min(aim*5/4, t.ttl()/8)
		}
		c.within(t.prompt(), "the name is not stuck after a cancelled grant", "c3").drop()
	}
	t.need(locks > 0 && errs > 0, "of %d rounds %d ended with a lock and %d with an error", locks+errs, locks, errs)
	t.measured("%d locks, %d errors", locks, errs)
}

// raceWindow is about the time of one request.
func (t *trial) raceWindow() time.Duration {
	if t.profile.Bubble {
		return time.Millisecond
	}
	return 3 * time.Millisecond
}

func c4(t *trial) {
	a, b := t.pair()
	ctx, cancel := context.WithTimeout(t.ctx, 4*t.ttl())
	defer cancel()
	o := a.acquire(ctx, "c4")
	if o.err != nil {
		t.broken("a free name is acquired", "A got %v", o.err)
	}
	// Every other check cancels that context at once. Here renewal has begun.
	t.sleep(t.ttl() / 2)
	cancel()
	t.step("half a TTL later the context of A's Acquire is cancelled, and A holds for two and a half TTLs")
	for range 10 {
		t.sleep(t.ttl() / 4)
		o.hold.held("after the context of its Acquire was cancelled")
		b.refused("c4", "after the context of A's Acquire was cancelled")
	}
	o.hold.drop()
}

func c5(t *trial) {
	a, b := t.pair()
	h := a.free("c5")
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	t.step("A releases under a cancelled context")
	if err := h.releaseUnder(ctx); err != nil {
		t.broken("Release works under a context that has ended", "it said %v", err)
	}
	if err := h.Err(); !errors.Is(err, locker.ErrReleased) {
		t.broken("Err is ErrReleased after a release", "it was %v", err)
	}
	b.within(t.prompt(), "a release under a cancelled context frees the name", "c5").drop()
}

func c6(t *trial) {
	a, b := t.pair()
	a.free("c6").drop() // connected before the link becomes slow
	t.delay(a, Both, t.ttl()/3)
	for what, call := range map[string]func(context.Context, string, ...locker.Option) outcome{"Acquire": a.acquire, "TryAcquire": a.try} {
		ctx, cancel := context.WithTimeoutCause(t.ctx, t.ttl()/10, errWhy)
		o := call(ctx, "c6")
		cancel()
		switch {
		case o.hold != nil && o.took < t.ttl()/2:
			t.notShown("the link is not slow: %s answered within %s", what, short(o.took))
		case o.hold != nil:
			t.broken("a call returns promptly when its context ends", "%s was granted after %s, with a deadline of %s", what, short(o.took), short(t.ttl()/10))
		}
		t.endedBy(o.err, context.DeadlineExceeded, what)
		if limit := t.ttl()/10 + t.prompt(); o.took > limit {
			t.broken("a call returns promptly when its context ends", "%s returned after %s", what, short(o.took))
		}
	}
	t.heal(a)
	b.within(t.ttl()+t.freed(t.ttl()), "what was cancelled leaves nothing that outlives its lease", "c6").drop()
}

func c7(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("c7")
	for _, wait := range []time.Duration{0, t.ttl() / 2} {
		t.step("B waits for A with a patience of %s", short(wait))
		ctx, cancel := context.WithTimeout(t.ctx, wait+2*t.ttl())
		o := b.acquire(ctx, "c7", locker.WithMaxWait(wait))
		cancel()
		var held *locker.HeldError
		if !errors.As(o.err, &held) {
			t.broken("patience that is used up is a *HeldError", "it was %v", o.err)
		}
		if o.took < wait || o.took > wait+t.prompt() {
			t.broken("patience is used and not exceeded", "a wait of %s took %s", short(wait), short(o.took))
		}
	}
	h.drop()
	c.within(t.prompt(), "a waiter out of patience leaves no ghost in the queue", "c7").drop()
}
