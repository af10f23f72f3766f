package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

func s5(t *trial) {
	var cases []func()
	for _, dir := range []Direction{Up, Down, Both} {
		cases = append(cases, func() { t.shortCut(dir) }, func() { t.longCut(dir) })
	}
	t.each(len(cases), func(i int) { cases[i]() })
	t.measured("%d cuts", len(cases))
}

func (t *trial) shortCut(dir Direction) {
	name := fmt.Sprintf("s5 short %s", dir)
	a, b := t.open("A "+dir.String()), t.open("B "+dir.String())
	h := a.free(name, locker.WithTTL(2*t.ttl()))
	proved := t.cutHalf(a, dir)
	t.sleep(t.ttl())
	t.heal(a)
	proved()
	for range 6 {
		h.held("after a cut of half a TTL")
		b.refused(name, "after a cut of half a TTL")
		t.sleep(t.ttl() / 2)
	}
	h.held("after a cut of half a TTL")
	h.drop()
	t.recovers(name, a, b)
}

func (t *trial) longCut(dir Direction) {
	name := fmt.Sprintf("s5 long %s", dir)
	a, b := t.open("C "+dir.String()), t.open("D "+dir.String())
	h := a.free(name)
	seen := t.rival(b, h)
	t.sleep(t.spacing())
	proved := t.cutHalf(a, dir)
	_ = h.lost(t.freed(h.TTL()), "a holder that is cut off is told by its Deadline")
	// Requests still get through where only answers are lost: the server may
	// have taken one for a renewal as late as the client sent it.
	g := t.follows(seen, h, t.ttl()+t.freed(h.TTL()))
	proved()
	t.heal(a)
	// A's connection may be reset yet, which a try takes for an answer.
	t.recovers(name+" other", a)
	g.kept(a, "after the link of the former holder healed")
	g.drop()
	t.recovers(name, a, b)
}

// s11 lets the clock jump while A holds, and while B waits with a patience.
func s11(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	clock := t.rig.(WallStepper)
	step := func(d time.Duration) {
		for _, x := range []*client{a, b} {
			before := time.Now()
			t.power("step a client's clock", clock.StepClient(x.Locker, d))
			t.event(x.label, "fault", "", 0, fmt.Sprintf("wall clock steps by %s", d))
			t.need(time.Since(before) < t.ttl(), "stepping the clock took a TTL")
		}
		t.step("the wall clocks of A and B step by %s", d)
	}
	h := a.free("s11")
	ctx, cancel := context.WithTimeout(t.ctx, 30*t.ttl())
	defer cancel()
	next := b.queued(ctx, "s11", locker.WithMaxWait(30*t.ttl()))
	for _, d := range []time.Duration{time.Hour, -2 * time.Hour, time.Hour} {
		step(d)
		for range 4 {
			h.held("after the wall clock stepped")
			c.refused("s11", "after the wall clock stepped")
			t.sleep(t.ttl() / 4)
		}
	}
	t.goesOn(h, next, c, "after the wall clock stepped")
}

// s12: with one renewal in flight at a time, the second would be answered one
// and a third TTLs after the request that the first one answered.
func s12(t *trial) {
	a, b := t.pair()
	ttl := t.ttl()
	if !t.profile.Bubble {
		ttl *= 2 // a busy machine is late itself
	}
	t.delay(a, Down, ttl/2)
	ctx, cancel := context.WithTimeout(t.ctx, 3*ttl)
	defer cancel()
	o := a.try(ctx, "s12 canary", locker.WithTTL(4*ttl))
	t.need(o.took >= ttl/2, "an answer came in %s although each is %s late", short(o.took), short(ttl/2))
	t.heal(a)
	t.sleep(ttl / 2) // what is on its way keeps its delay
	h := a.within(t.recovery(), "a client whose link is quick again acquires", "s12", locker.WithTTL(ttl))
	t.delay(a, Down, ttl/2)
	for range 8 {
		t.sleep(ttl / 4)
		h.held("while every answer is half a TTL late")
		b.refused("s12", "while A held it")
	}
	t.heal(a)
	t.sleep(ttl / 2)
	h.held("after the link is quick again")
	h.drop()
	t.recovers("s12", a, b)
}
