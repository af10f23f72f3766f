package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

// s16 has connections go dead under a hold, under a waiter, and under nothing.
func s16(t *trial) {
	t.each(3, func(i int) {
		switch i {
		case 0:
			t.deadUnderHold()
		case 1:
			t.deadUnderWaiter()
		case 2:
			t.deadWhileIdle()
		}
	})
}

func (t *trial) deadUnderHold() {
	const name, when = "s16 hold", "after its connections went dead"
	a, b := t.open("A"), t.open("B")
	h := a.free(name)
	proved := t.halfOpen(a)
	for range 12 {
		t.sleep(t.ttl() / 4)
		h.held(when)
		b.refused(name, when+", while A held")
	}
	proved()
	h.drop()
	t.recovers(name, a, b)
}

func (t *trial) deadUnderWaiter() {
	const name = "s16 waiter"
	a, b, c := t.open("C"), t.open("D"), t.open("E")
	h := a.free(name)
	next := b.queued(t.ctx, name)
	proved := t.halfOpen(b)
	t.sleep(t.ttl() / 4)
	h.drop()
	free := time.Now()
	g := t.grant(next, t.freed(t.ttl()), "a waiter whose connections went dead gets the name when it is free")
	t.measured("waiter told %s after the release", short(g.got.Sub(free)))
	proved()
	if g.Token() <= h.Token() {
		t.never("tokens increase under every fault", "the waiter got %d after %d", g.Token(), h.Token())
	}
	g.kept(c, "after the connections of its client went dead")
	g.drop()
	c.within(t.prompt(), "a client whose connections went dead leaves nothing in the queue", name).drop()
}

func (t *trial) deadWhileIdle() {
	const name = "s16 idle"
	a := t.open("F")
	a.free(name).drop()
	proved := t.halfOpen(a)
	a.within(t.recovery(), "a client whose connections went dead acquires over new ones", name).drop()
	proved()
}

// s17 has a client read its news late: while its hold lasts, when its hold is
// over, and when a grant that it waited for is over.
func s17(t *trial) {
	t.each(3, func(i int) {
		switch i {
		case 0:
			t.slowWithinLease()
		case 1:
			t.slowBeyondLease()
		case 2:
			t.lateGrant()
		}
	})
}

func (t *trial) slowWithinLease() {
	const name, when = "s17 short", "after its client read nothing for half a TTL"
	a, b := t.open("A"), t.open("B")
	h := a.free(name, locker.WithTTL(2*t.ttl()))
	proved := t.stall(a)
	for range 4 {
		t.sleep(t.ttl() / 4)
		b.refused(name, "while A held and read nothing")
	}
	t.unstall(a)
	for range 6 {
		h.held(when)
		b.refused(name, when)
		t.sleep(t.ttl() / 2)
	}
	proved()
	h.held(when)
	h.drop()
	t.recovers(name, a, b)
}

func (t *trial) slowBeyondLease() {
	const name = "s17 long"
	a, b, c := t.open("C"), t.open("D"), t.open("E")
	h := a.free(name)
	seen := t.rival(b, h)
	t.sleep(t.spacing())
	proved := t.stall(a)
	c.free(name + " other").drop() // nobody else is slow because of it
	_ = h.lost(t.freed(h.TTL()), "a holder that reads nothing is told by its Deadline")
	// What it sends still arrives: the server may have taken that for a renewal
	// as late as it was sent.
	g := t.follows(seen, h, t.ttl()+t.freed(h.TTL()))
	t.unstall(a)
	t.sleep(t.spacing())
	if err := h.Err(); !errors.Is(err, locker.ErrLost) {
		t.never("a hold that was lost stays lost when late answers arrive", "Err was %v", err)
	}
	g.kept(c, "after the former holder read on")
	proved()
	g.drop()
	t.recovers(name, a, b)
}

// lateGrant: A is granted the name while it neither reads nor sends, its lease
// ends, C is granted the name, and then A reads that it was granted.
func (t *trial) lateGrant() {
	const name, rule = "s17 grant", "a grant that is read when its lease is over gives no lock"
	a, b, c, d := t.open("F"), t.open("G"), t.open("H"), t.open("I")
	h := b.free(name)
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	late := a.queued(ctx, name)
	next := c.queued(t.ctx, name)
	proved := t.stall(a)
	cut := t.cutHalf(a, Up)
	h.drop()
	g := t.grant(next, t.ttl()+t.freed(t.ttl()), "a client that neither reads nor sends delays the next by no more than its lease")
	t.unstall(a)
	waits := true
	none := func(when string) {
		o, returned := t.outcomeWithin(late, t.ttl()/2)
		switch {
		case !returned:
		case o.hold != nil:
			t.never(rule, "F got token %d %s, while H held with token %d", o.hold.Token(), when, g.Token())
		case !errors.Is(o.err, locker.ErrUnavailable):
			t.broken(rule, "F's Acquire ended with %v", o.err)
		default:
			waits = false // the server was silent for so long that it gave up
		}
	}
	none("by late news")
	cut()
	t.heal(a)
	if waits {
		none("when its link was healed")
	}
	g.kept(d, "after F read that it had been granted")
	g.drop()
	if waits {
		back := t.grant(late, t.recovery(), "the client that was slow gets the name in its turn")
		if back.Token() <= g.Token() {
			t.never("tokens increase under every fault", "F got %d after H's %d", back.Token(), g.Token())
		}
		back.drop()
	}
	proved()
	t.recovers(name, a, b)
}

// s19 is S10d at the client's end, one client at a time.
func s19(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("s19")
	next := b.queued(t.ctx, "s19")
	ofHolder, ofWaiter := 0, 0
	for range 3 {
		ofHolder += t.reset(a)
		ofWaiter += t.reset(b)
		t.sleep(t.ttl() / 6)
	}
	t.need(ofHolder > 0 && ofWaiter > 0, "the resets had no effect: the holder had %d connections, the waiter %d", ofHolder, ofWaiter)
	t.goesOn(h, next, c, "after connections were reset")
}
