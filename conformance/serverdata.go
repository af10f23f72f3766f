package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

func s10a(t *trial) {
	t.vanishes("s10a", t.clients(2), func(h *hold) {
		t.power("have the hold evicted", t.rig.(Crowder).Crowd(t.ctx, h.Name()))
		t.fault("memory gets short, and the hold of A is evicted")
	})
}

func s10b(t *trial) {
	t.vanishes("s10b", t.clients(2), func(*hold) {
		t.power("flush", t.rig.(Flusher).FlushAll(t.ctx))
		t.fault("all data is deleted")
	})
}

func s10c(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("s10c")
	next := b.queued(t.ctx, "s10c")
	t.power("flush the scripts", t.rig.(ScriptFlusher).FlushScripts(t.ctx))
	t.fault("the server forgets its scripts")
	t.goesOn(h, next, c, "after the server forgot its scripts")
}

func s10d(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("s10d")
	next := b.queued(t.ctx, "s10d")
	for range 3 {
		t.power("kill the connections", t.rig.(ClientKiller).KillClients(t.ctx))
		t.fault("the server ends all connections")
		t.sleep(t.ttl() / 6)
	}
	t.goesOn(h, next, c, "after the server ended all connections")
}

// s10e: a watch that is open and up to date does not notice a compaction. One
// that was away has to start over.
func s10e(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	two := locker.WithTTL(2 * t.ttl())
	h := a.free("s10e", two)
	next := b.queued(t.ctx, "s10e", two)
	proved := t.cut(b)
	t.power("compact", t.rig.(Compacter).Compact(t.ctx))
	t.fault("while B is away the history is compacted")
	t.sleep(t.ttl() / 2)
	t.heal(b)
	proved()
	t.goesOn(h, next, c, "after a compaction")
}

// s13 steps back again, and shows that this costs the successor nothing.
func s13(t *trial) {
	cs := t.clients(2)
	server := t.rig.(Stepper)
	const hour = time.Hour
	h := cs[0].free("s13 back", t.long())
	t.power("step the server's clock", server.StepServer(t.ctx, -hour))
	t.fault("the server's clock is set back by an hour")
	h.kept(cs[1], "after the server's clock was set back")
	h.drop()
	g := cs[1].free("s13 back")
	if t.disordered(h, g) {
		t.never("tokens increase under every fault", "B got token %d after A's %d", g.Token(), h.Token())
	}
	g.drop()
	t.vanishes("s13", cs, func(*hold) {
		t.power("step the server's clock", server.StepServer(t.ctx, 2*hour))
		t.fault("the server's clock is set forward by two hours")
	})
	t.power("step the server's clock", server.StepServer(t.ctx, -hour))
	t.mended("the server's clock is right again")
	t.recovers("s13", cs...)
}

func s15(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	server := t.rig.(Filler)
	// A and B each hold a name and wait for that of the other: what renews the one
	// may stumble over the other.
	h, cross := a.free("s15"), b.free("s15 cross")
	next, back := b.queued(t.ctx, "s15"), a.queued(t.ctx, "s15 cross")
	t.power("exhaust the quota", server.Fill(t.ctx))
	t.fault("the server has no room for more")
	for range 6 {
		h.held("while the server has no room")
		cross.held("while the server has no room")
		t.sleep(t.ttl() / 2)
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.ttl())
	o := c.try(ctx, "s15 new")
	cancel()
	switch {
	case o.hold != nil:
		t.notShown("the quota had no effect: a claim was granted")
	case errors.Is(o.err, locker.ErrHeld):
		t.broken("a claim that cannot be written is not ErrHeld", "it was %v", o.err)
	}
	t.step("a new claim fails: %v", o.err)
	h.drop()
	g := t.grant(next, t.prompt(), "a release frees the name although the server has no room")
	if g.Token() <= h.Token() {
		t.never("tokens increase under every fault", "the waiter got %d after %d", g.Token(), h.Token())
	}
	cross.drop()
	t.grant(back, t.prompt(), "a release frees the name although the server has no room").drop()
	t.power("give room again", server.Empty(t.ctx))
	t.mended("the server has room again")
	g.drop()
	t.recovers("s15", a, b, c)
	t.recovers("s15 new", c)
}
