package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

func expiryChecks() []Check {
	return []Check{
		{ID: "E1", Class: Required, Within: 10, body: e1, Needs: []Power{PowerCrash},
			Rule: "After a crash the name is free not before the last Deadline that the holder reported, and not later than T+S."},
		{ID: "E2", Class: Required, Within: 14, body: e2, Needs: []Power{PowerCrash},
			Rule: "Every hold has its own TTL."},
		{ID: "E3", Class: Required, Within: 10, body: e3, Needs: []Power{PowerCrash},
			Rule: "A crashed waiter is skipped within T+S."},
		{ID: "E4", Class: Required, Within: 10, body: e4, Needs: []Power{PowerSpawn},
			Rule: "A process that is killed loses its holds within T+S."},
		{ID: "E5", Class: Required, Within: 8, body: e5, Needs: []Power{PowerCrash},
			Rule: "TTL reports the lease that the server keeps, not the one that was asked for."},
		{ID: "E6", Class: Required, Within: 16, body: e6, Needs: []Power{PowerLinks},
			Rule: "A grant whose validity was used up on the way is not returned as a live hold."},
		{ID: "E7", Class: Required, Within: 8, body: e7, Needs: []Power{PowerLinks},
			Rule: "Validity counts from before the request was sent, not from its answer."},
	}
}

// expires checks that the name goes to b not before the Deadline that h
// reports, and not later than one lease and the slack from now. It must be
// called right after the holder was crashed.
func (t *trial) expires(h *hold, b *client) *hold {
	died, deadline := time.Now(), h.Deadline()
	limit := t.freed(h.TTL())
	g := b.within(limit, "the name of a crashed holder is free by one TTL and the slack after its crash", h.Name())
	if g.got.Before(deadline) {
		t.broken("the name of a crashed holder stays taken until the Deadline that it reported", "%s got it %s before", b.label, short(deadline.Sub(g.got)))
	}
	if t.disordered(h, g) {
		t.broken("tokens increase over expiry", "%d followed %d", g.Token(), h.Token())
	}
	t.measured("free %s after the crash, TTL %s", short(g.got.Sub(died)), short(h.TTL()))
	return g
}

// e1 lets two holders crash. The second one had waited: its Deadline counts from
// a request by which it waited, and so must its lease. It waits for less than a
// third of the TTL, before a renewal makes up for a lease that did not.
func e1(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("e1")
	t.step("A holds for %s, with renewals, and crashes", short(t.ttl()*3/4))
	t.sleep(t.ttl() * 3 / 4)
	h.held("before the crash")
	proved := t.crash(a)
	t.expires(h, b).drop()
	proved()
	g := b.free("e1 waited for")
	next := c.waiting(t.ctx, "e1 waited for")
	t.step("C waits for %s, gets another name, and crashes at once", short(t.ttl()/4))
	t.sleep(t.ttl() / 4)
	g.drop()
	w := t.grant(next, t.ttl(), "a waiter gets the name that was released")
	proved = t.crash(c)
	t.expires(w, b).drop()
	proved()
}

func e2(t *trial) {
	a, b := t.pair()
	long := 3 * t.ttl()
	t.step("A holds one name with a TTL of %s and one of %s, and crashes", short(t.ttl()), short(long))
	h1, h2 := a.free("e2 short"), a.free("e2 long", locker.WithTTL(long))
	if h2.TTL() < long {
		t.broken("TTL is at least as asked", "%s was asked, %s granted", short(long), short(h2.TTL()))
	}
	proved := t.crash(a)
	died := time.Now()
	t.expires(h1, b).drop()
	proved()
	rest := t.freed(h2.TTL()) - time.Since(died)
	deadline := h2.Deadline()
	g := b.within(rest, "the name with the long lease is free by its own TTL and the slack", "e2 long")
	if g.got.Before(deadline) {
		t.broken("the name with the long lease stays taken until its Deadline", "B got it %s before", short(deadline.Sub(g.got)))
	}
	t.measured("%s and %s", short(h1.TTL()), short(h2.TTL()))
	g.drop()
}

func e3(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("e3")
	b.queued(t.ctx, "e3")
	next := c.queued(t.ctx, "e3")
	proved := t.crash(b)
	t.step("A releases while the first waiter is dead")
	h.drop()
	g := t.grant(next, t.freed(h.TTL()), "a dead waiter delays the next one by no more than one TTL and the slack")
	t.measured("skipped in %s", short(g.took()))
	proved()
	g.drop()
}

func (h *hold) took() time.Duration { return h.got.Sub(h.asked) }

func e4(t *trial) {
	a := t.open("A")
	p, err := t.rig.(Spawner).Spawn(t.ctx)
	t.power("start a client process", err)
	b := &client{Locker: p, t: t, label: "P"}
	h := b.free("e4")
	t.sleep(t.ttl() / 2)
	a.refused("e4", "while the process held it")
	next := a.queued(t.ctx, "e4")
	t.step("the process is killed")
	deadline := h.Deadline()
	t.power("kill the process", p.Kill())
	died := time.Now()
	t.event("P", "fault", "", 0, "killed")
	g := t.grant(next, t.freed(h.TTL()), "the name of a killed process is free by one TTL and the slack")
	if g.got.Before(deadline) {
		t.broken("the name stays taken until the Deadline that its holder reported", "it was free %s before", short(deadline.Sub(g.got)))
	}
	t.measured("free %s after the kill", short(g.got.Sub(died)))
	g.drop()
}

// e5 asks for a lease that most servers cannot keep exactly.
func e5(t *trial) {
	a, b := t.pair()
	asked := t.ttl()/10 + 1
	o := a.acquire(t.ctx, "e5", locker.WithTTL(asked))
	for i := 0; i < 4 && errors.Is(o.err, locker.ErrUnavailable); i++ {
		// So short a lease can be over before its grant was heard of.
		o = a.acquire(t.ctx, "e5", locker.WithTTL(asked))
	}
	if o.err != nil {
		t.notShown("a lease of %v was too short to be held at all: %v", asked, o.err)
	}
	h := o.hold
	if h.TTL() < asked {
		t.broken("TTL is at least as asked", "%v was asked, %v reported", asked, h.TTL())
	}
	proved := t.crash(a)
	t.step("A, who was told a TTL of %s, crashes", short(h.TTL()))
	g := t.expires(h, b)
	proved()
	t.measured("%s asked, %s granted", short(asked), short(h.TTL()))
	g.drop()
}

func e6(t *trial) {
	a, b := t.pair()
	a.free("e6 warm").drop()
	t.delay(a, Down, t.ttl()*3/2)
	ctx, cancel := context.WithTimeout(t.ctx, 5*t.ttl())
	defer cancel()
	o := a.acquire(ctx, "e6")
	if o.hold != nil {
		if o.took < t.ttl() {
			t.notShown("the link is not slow: Acquire took %s", short(o.took))
		}
		if err := o.hold.Err(); err != nil || !o.hold.Deadline().After(o.hold.got) {
			t.broken("a grant whose validity is used up is not returned", "Acquire returned after %s with a lock that was over by %s (Err %v)",
				short(o.took), short(o.hold.got.Sub(o.hold.Deadline())), err)
		}
		b.refused("e6", "while A believed to hold it")
	} else if errors.Is(o.err, locker.ErrHeld) {
		t.broken("a grant whose validity is used up is not ErrHeld", "Acquire returned %v", o.err)
	}
	t.heal(a)
	if o.hold == nil {
		b.within(t.ttl()+t.freed(t.ttl()), "a grant that was not returned leaves nothing that outlives its lease", "e6").drop()
	}
}

func e7(t *trial) {
	a := t.open("A")
	a.free("e7").drop()
	d := t.ttl() / 8
	t.delay(a, Down, d)
	ctx, cancel := context.WithTimeout(t.ctx, 4*t.ttl())
	defer cancel()
	o := a.acquire(ctx, "e7")
	if o.err != nil {
		t.broken("a slow link does not keep a free name from being acquired", "Acquire returned %v", o.err)
	}
	t.need(o.took >= d, "the link is not slow: Acquire took %s", short(o.took))
	// The answer was at least d on its way, so the request left before that.
	h := o.hold
	if h.Deadline().IsZero() {
		t.broken("a hold has a Deadline", "Deadline was the zero time")
	}
	if latest := h.got.Add(h.TTL() - d); h.Deadline().After(latest) {
		t.broken("validity counts from before the request", "Deadline lay %s after the latest instant that this allows", short(h.Deadline().Sub(latest)))
	}
	t.heal(a)
	h.drop()
}
