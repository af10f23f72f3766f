package conformance

import (
	"context"
	"errors"

	"github.com/lockerlib/locker"
)

func reentryChecks() []Check {
	return []Check{
		{ID: "R1", Class: Required, Within: 10, body: r1,
			Rule: "n acquires by one owner need n releases, in any order, and others stay out until the last."},
		{ID: "R2", Class: Required, Within: 6, body: r2,
			Rule: "Without an owner a second acquire waits or is refused, and honours its context."},
		{ID: "R3", Class: Required, Within: 6, body: r3,
			Rule: "Only the same owner re-enters, on the same Locker; identity and metadata let nobody in."},
		{ID: "R4", Class: Required, Within: 6, body: r4,
			Rule: "Re-entry changes neither the token nor the TTL; each level has its own Done."},
		{ID: "R5", Class: Required, Within: 6, body: r5,
			Rule: "A re-entry that failed leaves the count as it was."},
		{ID: "R6", Class: Required, Within: 8, body: r6, Needs: []Power{PowerEvict},
			Rule: "A loss ends every level."},
		{ID: "R7", Class: Required, Within: 8, body: r7, Needs: []Power{PowerCrash},
			Rule: "A crash at depth 3 frees the name within T+S."},
		{ID: "R8", Class: Required, Within: 8, body: r8, Needs: []Power{PowerEvict},
			Rule: "Re-entry after a loss is a new hold: a greater token, and one release frees it."},
	}
}

// enter acquires the name n times as one owner.
func (c *client) enter(name, owner string, n int) []*hold {
	levels := make([]*hold, n)
	for i := range levels {
		ctx, cancel := context.WithTimeout(c.t.ctx, c.t.ttl())
		o := c.acquire(ctx, name, locker.WithReentry(owner))
		cancel()
		if o.err != nil {
			c.t.broken("the same owner re-enters", "level %d: %v", i+1, o.err)
		}
		levels[i] = o.hold
	}
	return levels
}

func r1(t *trial) {
	a, b := t.pair()
	for _, order := range [][]int{{2, 1, 0}, {0, 1, 2}, {1, 2, 0}} {
		levels := a.enter("r1", "owner", 3)
		t.step("A enters 3 times and releases its levels in the order %v", order)
		for i, n := range order {
			b.refused("r1", "while A was inside")
			for _, m := range order[i:] {
				levels[m].held("while it was not released")
			}
			if err := levels[n].release(); err != nil {
				t.broken("each level is released once", "level %d: %v", n+1, err)
			}
			if !isClosed(levels[n].Done()) || !errors.Is(levels[n].Err(), locker.ErrReleased) {
				t.broken("a released level is over", "Done of level %d was closed: %t, Err %v", n+1, isClosed(levels[n].Done()), levels[n].Err())
			}
			if err := levels[n].release(); !errors.Is(err, locker.ErrReleased) {
				t.broken("a second release of a level says ErrReleased and counts nothing", "level %d: %v", n+1, err)
			}
		}
		b.within(t.prompt(), "the last release frees the name", "r1").drop()
	}
}

func r2(t *trial) {
	a := t.open("A")
	h := a.free("r2")
	t.step("A, without an owner, acquires what it holds")
	a.refused("r2", "though it is A itself that holds")
	ctx, cancel := context.WithCancelCause(t.ctx)
	next := a.queued(ctx, "r2")
	cancel(errWhy)
	o, ok := t.outcomeWithin(next, t.prompt())
	if !ok {
		t.broken("a client that waits for itself honours its context", "it was still blocked %s after the cancellation", short(t.prompt()))
	}
	if o.hold != nil {
		t.broken("without an owner nobody re-enters", "A got a second lock")
	}
	t.endedBy(o.err, context.Canceled, "Acquire")
	h.held("after A waited for itself")
	h.drop()
}

func r3(t *trial) {
	a := t.open("A", locker.WithIdentity("same"))
	b := t.open("B", locker.WithIdentity("same"))
	h := a.free("r3", locker.WithReentry("owner"), locker.WithMetadata("meta"))
	t.step("others, with the same identity, metadata, or owner on another Locker, try what A's owner holds")
	a.refused("r3", "by owner", locker.WithReentry("Owner"))
	a.refused("r3", "by owner", locker.WithReentry("owner "))
	a.refused("r3", "by owner, tried without one")
	a.refused("r3", "by owner, tried with the same metadata", locker.WithMetadata("meta"))
	b.refused("r3", "by the same owner on another Locker", locker.WithReentry("owner"))
	ctx := locker.Reentrant(t.ctx)
	if o := a.try(ctx, "r3"); o.hold != nil {
		t.broken("a call chain does not enter another owner's hold", "it did")
	}
	h.drop()
	chain := a.try(ctx, "r3")
	if chain.err != nil {
		t.broken("a free name is acquired", "A got %v", chain.err)
	}
	again := a.try(locker.Reentrant(ctx), "r3")
	if again.err != nil {
		t.broken("the same call chain re-enters", "it got %v", again.err)
	}
	if o := a.try(locker.Reentrant(t.ctx), "r3"); o.hold != nil {
		t.broken("another call chain does not enter", "it did")
	}
	again.hold.drop()
	chain.hold.drop()
}

func r4(t *trial) {
	a := t.open("A")
	levels := a.enter("r4", "owner", 2)
	o := a.acquire(t.ctx, "r4", locker.WithReentry("owner"), locker.WithTTL(3*t.ttl()), locker.WithMetadata("other"))
	if o.err != nil {
		t.broken("the same owner re-enters", "with another TTL it got %v", o.err)
	}
	levels = append(levels, o.hold)
	for i, h := range levels {
		if h.Token() != levels[0].Token() {
			t.broken("the token does not change on re-entry", "it was %d, and %d on level %d", levels[0].Token(), h.Token(), i+1)
		}
		if h.TTL() != levels[0].TTL() {
			t.broken("the TTL does not change on re-entry", "it was %v, and %v on level %d", levels[0].TTL(), h.TTL(), i+1)
		}
	}
	levels[1].drop()
	levels[0].held("after another level was released")
	levels[2].held("after another level was released")
	levels[0].drop()
	levels[2].drop()
}

func r5(t *trial) {
	a, b := t.pair()
	levels := a.enter("r5", "owner", 1)
	t.step("A fails to re-enter: with an ended context, a bad TTL and another owner")
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	for range 3 {
		if o := a.acquire(ended, "r5", locker.WithReentry("owner")); o.hold != nil {
			t.broken("a context that has ended never acquires", "it re-entered")
		}
		if o := a.acquire(t.ctx, "r5", locker.WithReentry("owner"), locker.WithTTL(-1)); o.hold != nil {
			t.broken("a bad option never acquires", "it re-entered")
		}
		a.refused("r5", "by owner", locker.WithReentry("another"))
	}
	levels[0].held("after failed re-entries")
	b.refused("r5", "after failed re-entries")
	levels[0].drop()
	b.within(t.prompt(), "one release frees a name that was entered once", "r5").drop()
}

func r6(t *trial) {
	a := t.open("A")
	levels := a.enter("r6", "owner", 3)
	t.evict(levels[0])
	t.step("A, at depth 3, loses the name")
	for i := range levels {
		_ = levels[i].lost(t.ttl()+t.slop(), "a loss ends every level")
	}
	for _, h := range levels {
		if err := h.release(); !errors.Is(err, locker.ErrLost) {
			t.broken("Release of a lost level says ErrLost", "it said %v", err)
		}
	}
}

func r7(t *trial) {
	a, b := t.pair()
	levels := a.enter("r7", "owner", 3)
	proved := t.crash(a)
	t.expires(levels[0], b).drop()
	proved()
}

func r8(t *trial) {
	a, b := t.pair()
	levels := a.enter("r8", "owner", 3)
	t.evict(levels[0])
	_ = levels[0].lost(t.ttl()+t.slop(), "a loss ends every level")
	t.step("the same owner acquires again after the loss")
	h := a.within(t.freed(t.ttl()), "an owner whose hold was evicted can acquire again", "r8", locker.WithReentry("owner"))
	if h.Token() <= levels[0].Token() {
		t.broken("a hold after a loss has a greater token", "%d followed %d", h.Token(), levels[0].Token())
	}
	for _, old := range levels {
		if err := old.Err(); !errors.Is(err, locker.ErrLost) {
			t.broken("a lost level stays lost", "its Err was %v", err)
		}
		_ = old.release()
	}
	h.kept(b, "after the lost levels were released")
	h.drop()
	b.within(t.prompt(), "one release frees a new hold", "r8").drop()
}
