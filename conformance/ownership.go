package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

func ownershipChecks() []Check {
	return []Check{
		{ID: "O1", Class: Required, Within: 10, body: o1, Needs: []Power{PowerEvict},
			Rule: "A stale release says ErrLost and leaves the successor alone."},
		{ID: "O2", Class: Required, Within: 8, body: o2,
			Rule: "A second release says ErrReleased and is harmless after somebody else has acquired."},
		{ID: "O3", Class: Required, Within: 10, body: o3, Needs: []Power{PowerEvict},
			Rule: "An old handle cannot free a newer hold of the same client."},
		{ID: "O4", Class: Required, Within: 10, body: o4, Needs: []Power{PowerLinks, PowerLosses},
			Rule: "A release whose answer was lost may be retried, and the name is free within T+S."},
		{ID: "O5", Class: Required, Within: 18, body: o5, Needs: []Power{PowerLinks, PowerLosses},
			Rule: "A lost answer to a claim is never ErrHeld because of the claim itself, and the orphan is gone within T+S."},
		{ID: "O6", Class: Required, Within: 8, body: o6, Needs: []Power{PowerEvict},
			Rule: "Owners and clients are compared exactly: job-1 is not job-10."},
		{ID: "O8", Class: Required, Within: 10, body: o8, Needs: []Power{PowerLinks, PowerLosses},
			Rule: "A release that is retried because its answer was lost does not free a newer hold of the same client."},
		{ID: "O7", Class: Optional, Within: 10, body: o7,
			Rule: "A broken lock: the holder is told, the next waiter gets a greater token, and a late break hits nobody."},
		{ID: "O9", Class: Required, Within: 20, body: o9,
			Rule: "List names everything that is held under a prefix, each hold once and with its token, and nothing else."},
		{ID: "O10", Class: Required, Within: 16, body: o10,
			Rule: "What a refusal and Inspect tell of the holder and of those who wait is right."},
		{ID: "O11", Class: Required, Within: 12, body: o11,
			Rule: "The holder of a broken lock is told that it was broken, and not only that it is gone."},
	}
}

// kept checks that nobody else gets the name of h for half a TTL.
func (h *hold) kept(other *client, when string) {
	t := h.c.t
	for range 4 {
		h.held(when)
		other.refused(h.Name(), when)
		t.sleep(t.ttl() / 8)
	}
	h.held(when)
}

func o1(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("o1")
	t.evict(h)
	g := b.within(t.freed(t.ttl()), "an evicted name can be acquired", "o1")
	t.step("B has acquired it; A releases its stale hold")
	err := h.release()
	g.kept(c, "after A's stale release")
	if !errors.Is(err, locker.ErrLost) {
		t.broken("a stale release says ErrLost", "it said %v", err)
	}
	g.drop()
}

func o2(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("o2")
	h.drop()
	g := b.free("o2")
	t.step("A releases a second time, while B holds")
	said := []error{h.release(), h.release(), h.release()}
	g.kept(c, "after A's second release")
	for _, err := range said {
		if !errors.Is(err, locker.ErrReleased) {
			t.broken("a second release says ErrReleased", "it said %v", err)
		}
	}
	g.drop()
}

func o3(t *trial) {
	a, b := t.pair()
	first := a.free("o3")
	first.drop()
	second := a.free("o3")
	t.step("A releases its first, released handle while it holds anew")
	err := first.release()
	second.kept(b, "after the old handle was released again")
	if !errors.Is(err, locker.ErrReleased) {
		t.broken("a second release says ErrReleased", "it said %v", err)
	}
	t.evict(second)
	if !t.withholds(OfferNotice) {
		_ = second.lost(t.ttl()+t.slop(), "an evicted holder is told by the next renewal")
	}
	third := a.within(t.freed(t.ttl()), "a client whose hold was evicted can acquire again", "o3")
	t.step("A releases its second, lost handle while it holds anew")
	err = second.release()
	third.kept(b, "after the lost handle was released")
	if !errors.Is(err, locker.ErrLost) {
		t.broken("the release of a lost hold says ErrLost", "it said %v", err)
	}
	third.drop()
}

func o4(t *trial) {
	a, b := t.pair()
	h := a.free("o4")
	proved := t.loseAnswer(a, ": A releases, and releases again")
	ctx, cancel := context.WithTimeout(t.ctx, t.ttl()/2)
	defer cancel()
	began := time.Now()
	if err := h.releaseUnder(ctx); errors.Is(err, locker.ErrLost) {
		t.broken("a release whose answer was lost is no loss", "it said %v", err)
	}
	if err := h.release(); errors.Is(err, locker.ErrLost) {
		t.broken("a retried release is no loss", "it said %v", err)
	}
	g := b.within(t.freed(h.TTL()), "the name is free by one TTL and the slack", "o4")
	proved()
	t.measured("free after %s", short(time.Since(began)))
	if err := h.release(); errors.Is(err, locker.ErrLost) {
		t.broken("a retried release is no loss", "it said %v after B had acquired", err)
	}
	g.kept(a, "after A's retried release")
	g.drop()
}

func o8(t *trial) {
	a, b := t.pair()
	first := a.free("o8")
	proved := t.loseAnswer(a, ": A releases")
	ctx, cancel := context.WithTimeout(t.ctx, t.ttl()/2)
	defer cancel()
	_ = first.releaseUnder(ctx) // O4 judges what it says
	newer := a.within(t.freed(first.TTL()), "the name is free by one TTL and the slack", "o8")
	proved()
	t.step("A, who holds anew, releases its first hold again")
	_ = first.release()
	newer.kept(b, "after the release of the first hold was retried")
	newer.drop()
}

func o5(t *trial) {
	a, b := t.pair()
	a.free("o5 warm").drop()
	for _, how := range []struct {
		what string
		call func(context.Context, string, ...locker.Option) outcome
	}{{"TryAcquire", a.try}, {"Acquire", a.acquire}} {
		proved := t.loseAnswer(a, ": that to its "+how.what)
		ctx, cancel := context.WithTimeout(t.ctx, t.ttl()/2)
		o := how.call(ctx, "o5")
		cancel()
		if errors.Is(o.err, locker.ErrHeld) {
			t.broken("one's own claim is never the reason of ErrHeld", "%s returned %v", how.what, o.err)
		}
		if o.hold != nil {
			b.refused("o5", "while A, whose answer was lost, held it")
			o.hold.drop()
		}
		proved()
		b.within(t.ttl()+t.freed(t.ttl()), "the orphan of a lost answer is gone by one TTL and the slack", "o5").drop()
	}

	// A claim that is in the queue, and of which its client knows nothing, is
	// undone all the same: whoever keeps a place would keep it for ever.
	h := b.free("o5 queue")
	proved := t.loseAnswer(a, ": that to its Acquire of what B holds")
	ctx, cancel := context.WithTimeout(t.ctx, t.ttl()/4)
	o := a.acquire(ctx, "o5 queue")
	cancel()
	if o.hold != nil {
		t.broken("a held name is not granted", "A got it while B held it")
	}
	h.drop()
	b.within(t.ttl()+t.freed(t.ttl()), "the orphan of a lost answer is gone from the queue by one TTL and the slack", "o5 queue").drop()
	proved()
}

func o6(t *trial) {
	t.step("clients and owners whose names begin with each other compete")
	for _, ids := range [][2]string{{"job-1", "job-10"}, {"job-10", "job-1"}} {
		name := "o6 " + ids[0]
		a := t.open(ids[0], locker.WithIdentity(ids[0]))
		b := t.open(ids[1], locker.WithIdentity(ids[1]))
		h := a.free(name, locker.WithReentry(ids[0]))
		a.refused(name, "while an owner with a similar name held it", locker.WithReentry(ids[1]))
		b.refused(name, "while an owner with a similar name held it", locker.WithReentry(ids[1]))
		t.evict(h)
		g := b.within(t.freed(t.ttl()), "an evicted name can be acquired", name, locker.WithReentry(ids[1]))
		_ = h.release()
		g.kept(a, "after "+ids[0]+", whose hold was gone, released")
		g.drop()
	}
}

func o7(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("o7")
	if err := locker.Break(t.ctx, c.Locker, "o7", h.Token()+1<<20); errors.Is(err, errors.ErrUnsupported) {
		h.kept(b, "after a refused break")
		h.drop()
		t.refuses("Break says: %v", err)
	} else if !errors.Is(err, locker.ErrNotHeld) {
		t.broken("Break with a token that is not current is ErrNotHeld", "it was %v", err)
	}
	h.kept(b, "after a break with another token")
	next := b.queued(t.ctx, "o7")
	t.step("C breaks the lock of A while B waits")
	began := time.Now()
	if err := locker.Break(t.ctx, c.Locker, "o7", h.Token()); err != nil {
		t.broken("Break ends the hold with that token", "it said %v", err)
	}
	t.event("C", "fault", "o7", h.Token(), "broken")
	lost := h.lost(t.ttl()+t.slop(), "the holder of a broken lock is told by the next renewal")
	if lost.Reason != locker.LostBroken && lost.Reason != locker.LostEvicted {
		t.broken("the reason of a broken lock is broken", "it was %s", lost.Reason)
	}
	t.measured("told in %s (%s)", short(lost.At.Sub(began)), lost.Reason)
	g := t.grant(next, t.freed(t.ttl()), "the next waiter gets the name of a broken lock")
	if t.disordered(h, g) {
		t.broken("tokens increase over a break", "%d followed %d", g.Token(), h.Token())
	}
	if err := locker.Break(t.ctx, c.Locker, "o7", h.Token()); !errors.Is(err, locker.ErrNotHeld) {
		t.broken("a late break is ErrNotHeld", "it was %v", err)
	}
	g.kept(a, "after a late break")
	g.drop()
}
