package conformance

import (
	"context"
	"errors"

	"github.com/lockerlib/locker"
)

func renewalChecks() []Check {
	return []Check{
		{ID: "N1", Class: Required, Within: 12, body: n1,
			Rule: "A hold lasts for many TTLs while others compete for it."},
		{ID: "N2", Class: Required, Within: 10, body: n2, Needs: []Power{PowerCrash},
			Rule: "Renewal ends with the release: it does not keep the next holder's lease alive."},
		{ID: "N3", Class: Required, Within: 12, body: n3, Needs: []Power{PowerCrash, PowerEvict},
			Rule: "Renewal extends only its own hold, never a successor's."},
		{ID: "N4", Class: Required, Within: 8, body: n4, Needs: []Power{PowerEvict},
			Rule: "Renewal never brings back a hold that the server no longer has."},
		{ID: "N5", Class: Required, Within: 10, body: n5, Needs: []Power{PowerLinks, PowerLosses},
			Rule: "One failed renewal is not a loss."},
		{ID: "N6", Class: Required, Within: 14, body: n6, Needs: []Power{PowerCrash},
			Rule: "Renewal sets the lease and never adds to it."},
		{ID: "N7", Class: Required, Within: 12, body: n7, Needs: []Power{PowerLinks},
			Rule: "A renewal that arrives after the lease has run out does not bring the hold back."},
	}
}

// n1 holds several names, because a client may renew them in one request, which
// a backend can get wrong for all but one.
func n1(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	holds := []*hold{a.free("n1"), a.free("n1 second"), a.free("n1 third")}
	ctx, cancel := context.WithCancelCause(t.ctx)
	next := b.queued(ctx, "n1")
	t.step("A holds three names for 5 TTLs while B waits for one and C tries all")
	for i := range 10 {
		if o, ok := t.outcomeWithin(next, t.ttl()/2); ok {
			t.broken("a hold that is renewed lasts", "B got %v after %d half TTLs, while A held it", o.err, i+1)
		}
		for _, h := range holds {
			h.held("under contention")
			c.refused(h.Name(), "while A held it")
		}
	}
	cancel(errWhy)
	<-next
	for _, h := range holds {
		h.drop()
	}
	t.measured("5 TTLs")
}

func n2(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	t.step("A holds and releases; B acquires and crashes; A stays alive")
	h := a.free("n2")
	t.sleep(t.ttl() / 2)
	h.drop()
	g := b.free("n2")
	proved := t.crash(b)
	t.expires(g, c).drop()
	proved()
}

func n3(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("n3")
	t.sleep(t.ttl() / 2) // a hold that was renewed may be renewed in another way from then on
	t.evict(h)
	g := b.within(t.freed(t.ttl()), "an evicted name can be acquired", "n3")
	proved := t.crash(b)
	t.step("B, who acquired after it, crashes; A stays alive")
	t.expires(g, c).drop()
	proved()
}

func n4(t *trial) {
	a, b := t.pair()
	h := a.free("n4")
	t.evict(h)
	t.step("nobody acquires for one TTL, in which A would renew three times")
	t.sleep(t.ttl())
	o := b.try(t.ctx, "n4")
	if o.err != nil {
		t.broken("renewal does not bring a hold back", "one TTL after the eviction B got %v", o.err)
	}
	if err := h.Err(); !errors.Is(err, locker.ErrLost) {
		t.broken("an evicted hold is lost", "A's Err was %v", err)
	}
	t.sleep(t.ttl() / 2)
	o.hold.held("after A's renewals")
	o.hold.drop()
}

func n5(t *trial) {
	a, b := t.pair()
	h := a.free("n5")
	for range 2 {
		proved := t.loseAnswer(a, ", and A holds for one and a half TTLs")
		for range 6 {
			t.sleep(t.ttl() / 4)
			h.held("after one lost answer")
			b.refused("n5", "while A held it")
		}
		proved()
	}
	if err := h.release(); errors.Is(err, locker.ErrLost) {
		t.broken("one failed renewal is not a loss", "Release said %v", err)
	}
}

func n6(t *trial) {
	a, b := t.pair()
	h := a.free("n6")
	t.step("A holds for 4 TTLs, with renewals, and crashes")
	t.sleep(4 * t.ttl())
	h.held("after 4 TTLs")
	proved := t.crash(a)
	t.expires(h, b).drop()
	proved()
}

// n7 lets nobody look at the name between the end of the lease and the renewals:
// a server that clears what has run out only when it is asked still has the
// hold then. B looks before A, who learns of the loss, could clean up as late.
func n7(t *trial) {
	a, b := t.pair()
	h := a.free("n7")
	late := t.freed(h.TTL())
	t.delay(a, Up, late)
	proved := t.canary(a, "the delay")
	t.step("the renewals of A arrive when its lease is over; B tries half a TTL after the first")
	t.sleep(late + h.TTL()/2)
	o := b.try(t.ctx, "n7")
	if o.err != nil {
		t.broken("a renewal that arrives late does not bring a hold back", "B got %v, %s after the last renewal in time", o.err, short(late+h.TTL()/2))
	}
	proved()
	t.sleep(t.ttl())
	o.hold.held("when all that A had sent late had arrived")
	t.heal(a)
	o.hold.drop()
}
