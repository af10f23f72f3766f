package conformance

import (
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

func lossChecks() []Check {
	return []Check{
		{ID: "L1", Class: Required, Within: 10, body: l1, Needs: []Power{PowerLinks},
			Rule: "A holder that is cut off is told before another can acquire."},
		{ID: "L2", Class: Required, Within: 12, body: l2, Needs: []Power{PowerSpawn},
			Rule: "A process that was stopped for longer than its TTL knows of the loss before it can believe to hold."},
		{ID: "L3", Class: Required, Within: 10, body: l3, Needs: []Power{PowerEvict},
			Rule: "An evicted holder is told promptly, and its renewal leaves the successor alone."},
		{ID: "L4", Class: Required, Within: 8, body: l4, Needs: []Power{PowerEvict},
			Rule: "Done closes once, and Err names the first cause for ever."},
		{ID: "L5", Class: Required, Within: 8, body: l5, Needs: []Power{PowerEvict},
			Rule: "Whoever looks at Done late still sees the loss, and whoever asks to be told is told."},
		{ID: "L6", Class: Required, Within: 8, body: l6, Needs: []Power{PowerSuspend},
			Rule: "Time during which the machine was suspended ends a hold."},
	}
}

// l1 compares on one clock: the question is asked in the goroutine in which B's
// Acquire has just returned.
func l1(t *trial) {
	a, b := t.pair()
	h := a.free("l1")
	type sight struct {
		o      outcome
		closed bool
		err    error
	}
	seen := make(chan sight, 1)
	t.spawn(func() {
		defer close(seen)
		o := b.acquire(t.ctx, "l1")
		// Done first: Err, which reads the clock itself, would close it. A timer
		// of a busy machine may be late where time is real, a call cannot be.
		closed := isClosed(h.Done())
		err := h.Err()
		if !closed && t.slop() > 0 {
			closed = t.closesWithin(h.Done(), 100*time.Millisecond)
		}
		seen <- sight{o, closed, err}
	})
	t.sleep(t.ttl() / 2)
	h.held("before the cut")
	proved := t.cut(a)
	lost := h.lost(t.freed(h.TTL()), "a holder that is cut off is told by its Deadline")
	told := time.Now()
	proved()
	if lost.Reason != locker.LostExpired {
		t.broken("the reason of a lease that ran out is expired", "it was %s", lost.Reason)
	}
	var s sight
	select {
	case s = <-seen:
	case <-t.ctx.Done():
		t.live()
	case <-time.After(t.freed(h.TTL())):
		t.overdue("the name is free by one TTL and the slack after the cut", "B was still waiting %s after A was told", short(t.freed(h.TTL())))
	}
	if s.o.err != nil {
		t.broken("the waiter gets the name", "B got %v", s.o.err)
	}
	if !errors.Is(s.err, locker.ErrLost) || !s.closed {
		t.broken("A is told before another can acquire", "when B's Acquire returned, A's Err was %v and Done was closed: %t; A was told %s later",
			s.err, s.closed, short(told.Sub(s.o.hold.got)))
	}
	began := time.Now()
	if err := h.release(); !errors.Is(err, locker.ErrLost) {
		t.broken("Release of a lost hold says ErrLost", "it said %v", err)
	}
	if d := time.Since(began); d > t.prompt() {
		t.broken("Release does not block on a lost hold", "it took %s", short(d))
	}
	t.measured("told %s before", short(s.o.hold.got.Sub(told)))
	t.heal(a)
	s.o.hold.held("after A's link was healed and A released")
	s.o.hold.drop()
	a.within(t.ttl()+t.freed(t.ttl()), "a client whose link is healed recovers by itself", "l1").drop()
}

func l2(t *trial) {
	b := t.open("B")
	p, err := t.rig.(Spawner).Spawn(t.ctx)
	t.power("start a client process", err)
	a := &client{Locker: p, t: t, label: "P"}
	h := a.free("l2")
	next := b.queued(t.ctx, "l2")
	t.power("stop the process", p.Stop())
	t.event("P", "fault", "", 0, "stopped")
	t.step("the process that holds is stopped until B has the name")
	g := t.grant(next, t.freed(h.TTL()), "the name of a stopped process is free by one TTL and the slack")
	t.power("continue the process", p.Continue())
	t.event("P", "heal", "", 0, "continued")
	if err := h.Err(); !errors.Is(err, locker.ErrLost) {
		t.broken("a process that was stopped for too long never believes to hold", "its first Err after it ran again was %v, while B held", err)
	}
	_ = h.lost(100*time.Millisecond+t.slop(), "Done closes within 100 ms after the process runs again")
	g.held("after the other process ran again")
	g.drop()
}

func l3(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("l3")
	t.evict(h)
	began := time.Now()
	_ = h.lost(t.ttl()+t.slop(), "an evicted holder is told by the next renewal")
	t.measured("told in %s", short(time.Since(began)))
	g := b.within(t.freed(t.ttl()), "an evicted name can be acquired", "l3")
	t.step("B holds the name for two TTLs beside the evicted A")
	for range 8 {
		t.sleep(t.ttl() / 4)
		g.held("beside the evicted A")
		c.refused("l3", "while B held it")
	}
	g.drop()
}

func l4(t *trial) {
	a := t.open("A")
	h := a.free("l4")
	t.evict(h)
	lost := h.lost(t.ttl()+t.slop(), "an evicted holder is told by the next renewal")
	if lost.Name != "l4" || lost.Token != h.Token() || lost.Reason == 0 {
		t.broken("Err names the lock, its token and the cause", "it was %+v", *lost)
	}
	first := h.Err()
	t.step("the lost hold is released, waited on and looked at again")
	t.sleep(t.ttl())
	if err := h.release(); !errors.Is(err, locker.ErrLost) {
		t.broken("Release of a lost hold says ErrLost", "it said %v", err)
	}
	t.each(4, func(int) { _ = h.release() })
	if again := h.Err(); again != first { //nolint:errorlint // it must be the very same error
		t.broken("Err stays the same for ever", "it was %v, and then %v", first, again)
	}
	if err := a.Close(); err != nil && !errors.Is(err, locker.ErrClosed) {
		t.step("Close said %v", err)
	}
	if again := h.Err(); again != first { //nolint:errorlint // it must be the very same error
		t.broken("Err stays the same for ever", "it was %v, and %v after Close", first, again)
	}
}

func l5(t *trial) {
	a := t.open("A")
	h := a.free("l5")
	early := make(chan error, 1)
	stop := locker.AfterLoss(h.Lock, func(err error) { early <- err })
	defer stop()
	t.evict(h)
	t.sleep(t.ttl() + t.slop())
	t.step("Done is first looked at one TTL after the eviction")
	if !t.closesWithin(h.Done(), 0) {
		t.broken("Done is closed for whoever looks late", "it was open, with Err %v", h.Err())
	}
	late := make(chan error, 1)
	stopLate := locker.AfterLoss(h.Lock, func(err error) { late <- err })
	defer stopLate()
	for what, told := range map[string]chan error{"before": early, "after": late} {
		select {
		case err := <-told:
			if !errors.Is(err, locker.ErrLost) {
				t.broken("AfterLoss gives the loss", "it gave %v", err)
			}
		case <-time.After(t.prompt()):
			t.broken("AfterLoss is called on loss", "who had asked %s the loss was not told within %s", what, short(t.prompt()))
		case <-t.ctx.Done():
			t.live()
		}
	}
}

func l6(t *trial) {
	a := t.open("A")
	h := a.free("l6")
	t.power("suspend a client", t.rig.(Suspender).Suspend(a.Locker, 2*t.ttl()))
	t.event("A", "fault", "", 0, "machine suspended")
	t.step("A's machine is suspended for two TTLs and resumes")
	if err := h.Err(); !errors.Is(err, locker.ErrLost) {
		t.broken("Err knows of the suspension at once", "it was %v", err)
	}
	_ = h.lost(100*time.Millisecond+t.slop(), "Done closes within 100 ms after the machine resumes")
}
