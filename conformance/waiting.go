package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

func waitingChecks() []Check {
	return []Check{
		{ID: "W1", Class: Required, Within: 8, body: w1,
			Rule: "A waiter is blocked until the holder releases, and then gets the name promptly."},
		{ID: "W2", Class: Required, Within: 20, body: w2,
			Rule: "One release grants the name to exactly one waiter."},
		{ID: "W3", Class: Required, Within: 10, body: w3, Needs: []Power{PowerCrash},
			Rule: "A waiter gets the name when a crashed holder's lease has run out, without any release."},
		{ID: "W4", Class: Required, Within: 20, body: w4, Needs: []Power{PowerObserve},
			Rule: "Many waiters drain, the cost of a handover does not grow with their number, and waiting is not polling."},
		{ID: "W5", Class: Required, Within: 12, body: w5, Needs: []Power{PowerLinks},
			Rule: "A waiter whose link was away for less than its lease still gets the name."},
		{ID: "W6", Class: Required, Within: 14, body: w6, Needs: []Power{PowerLinks},
			Rule: "A waiter whose own lease ran out returns or gets the name; it does not stay blocked on a free name."},
	}
}

func w1(t *trial) {
	a, b := t.pair()
	h := a.free("w1")
	t.step("A holds, B waits for half a TTL, A releases")
	next := b.queued(t.ctx, "w1")
	if o, ok := t.outcomeWithin(next, t.ttl()/2); ok {
		t.broken("a waiter is blocked while the name is held", "B returned after %s (%v)", short(o.took), o.err)
	}
	released := time.Now()
	h.drop()
	g := t.grant(next, t.prompt(), "a release wakes the waiter promptly")
	t.measured("woken in %s", short(g.got.Sub(released)))
	a.refused("w1", "after it went to B")
	g.drop()
}

func w2(t *trial) {
	const n = 4
	cs := t.clients(n + 1)
	h := cs[n].free("w2")
	grants := make(chan *hold, n)
	t.step("%d clients wait; each release must grant the name to exactly one of them", n)
	for _, c := range cs[:n] {
		next := c.queued(t.ctx, "w2")
		t.spawn(func() {
			if o, ok := <-next; ok && o.hold != nil {
				grants <- o.hold
			}
		})
	}
	for i := range n {
		h.drop()
		select {
		case h = <-grants:
		case <-time.After(t.prompt()):
			t.overdue("a release grants the name to a waiter", "release %d of %d woke nobody within %s", i+1, n, short(t.prompt()))
		case <-t.ctx.Done():
			t.live()
		}
		select {
		case other := <-grants:
			t.broken("a release grants the name to one waiter only", "release %d of %d gave it to %s and to %s", i+1, n, h.c.label, other.c.label)
		case <-time.After(t.spacing()):
		case <-t.ctx.Done():
			t.live()
		}
	}
	h.drop()
}

func w3(t *trial) {
	a, b := t.pair()
	h := a.free("w3")
	next := b.queued(t.ctx, "w3")
	died := time.Now()
	proved := t.crash(a)
	g := t.grant(next, t.freed(h.TTL()), "a waiter gets the name by one TTL and the slack after the holder's crash")
	t.measured("free %s after the crash", short(g.got.Sub(died)))
	proved()
	g.drop()
}

// w4 measures the requests of a drain with few and with many waiters: a herd
// costs in proportion to the waiters, so the two differ.
func w4(t *trial) {
	few, many := 4, t.rounds(50, 20)
	o := t.rig.(Observer)
	cs := t.clients(many + 1)
	holder := cs[many]

	drain := func(name string, n int) float64 {
		h := holder.free(name)
		var waiting []<-chan outcome
		for _, c := range cs[:n] {
			waiting = append(waiting, c.waiting(t.ctx, name))
		}
		t.sleep(2 * t.spacing())
		before := o.Requests()
		t.sleep(t.ttl())
		idle := o.Requests() - before
		// Renewal takes three requests per TTL; ten leave room for a backstop.
		if limit := int64(10*n + 20); idle > limit {
			t.broken("waiting costs the renewal of a lease and no more", "%d waiters sent %d requests in one TTL, more than %d", n, idle, limit)
		}
		before = o.Requests()
		h.drop()
		var served counter
		t.each(n, func(i int) {
			h := t.grant(waiting[i], t.ttl()+4*t.prompt(), "every waiter is served")
			served.add(1)
			h.drop()
		})
		t.need(served.get() == int64(n), "only %d of %d waiters were served", served.get(), n)
		return float64(o.Requests()-before) / float64(n)
	}
	t.step("%d waiters drain, then %d", few, many)
	small, large := drain("w4 few", few), drain("w4 many", many)
	if large > 2*small+6 {
		t.broken("a handover costs the same however many wait", "it took %.1f requests with %d waiters and %.1f with %d", small, few, large, many)
	}
	t.measured("%.1f requests per handover", large)
}

func w5(t *trial) {
	a, b := t.pair()
	h := a.free("w5")
	next := b.queued(t.ctx, "w5")
	proved := t.cut(b)
	t.sleep(t.ttl() / 10)
	t.step("A releases while B cannot be told")
	h.drop()
	t.sleep(t.ttl() / 5)
	t.heal(b)
	g := t.grant(next, 2*t.ttl()+t.freed(0), "the waiter gets the name that was released while its link was away")
	proved()
	g.drop()
}

func w6(t *trial) {
	a, b := t.pair()
	h := a.free("w6")
	next := b.queued(t.ctx, "w6")
	proved := t.cut(b)
	t.sleep(t.freed(t.ttl() * 3 / 2))
	t.heal(b)
	proved()
	t.sleep(t.ttl() / 2)
	t.step("A releases after the lease of the waiting B has run out")
	h.drop()
	limit := 2*t.ttl() + t.freed(0)
	o, ok := t.outcomeWithin(next, limit)
	switch {
	case !ok:
		t.overdue("a waiter whose lease ran out returns or gets the name", "it was still blocked on a free name after %s", short(limit))
	case o.hold != nil:
		o.hold.held("when it got it")
		a.refused("w6", "after the waiter got it")
		o.hold.drop()
	case errors.Is(o.err, locker.ErrHeld), errors.Is(o.err, context.Canceled):
		t.broken("a waiter whose lease ran out says what happened", "it returned %v", o.err)
	}
}
