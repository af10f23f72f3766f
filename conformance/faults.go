package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

// cut cuts the link of c both ways. The function that it returns proves that the cut
// bites, and ends the check as not shown if it does not; the proof itself runs
// meanwhile, so that it costs the check no time.
func (t *trial) cut(c *client) (proved func()) { return t.cutHalf(c, Both) }

// cutHalf is cut for one direction.
func (t *trial) cutHalf(c *client, d Direction) (proved func()) {
	t.power("cut a link", t.rig.(Linker).Cut(c.Locker, d))
	t.event(c.label, "fault", "", 0, fmt.Sprintf("link cut (%s)", d))
	t.step("the link of %s is cut (%s)", c.label, d)
	return t.canary(c, "the cut")
}

// loseAnswer loses the next answer to c. The function that it returns shows
// that one was lost, and ends the check as not shown if none was.
func (t *trial) loseAnswer(c *client, when string) (proved func()) {
	counter := t.rig.(LossCounter)
	before, err := counter.Lost(c.Locker)
	t.power("count lost answers", err)
	t.power("lose an answer", t.rig.(Linker).DropReplies(c.Locker, 1))
	t.event(c.label, "fault", "", 0, "the next answer is lost")
	t.step("the next answer to %s is lost%s", c.label, when)
	return func() {
		after, err := counter.Lost(c.Locker)
		t.power("count lost answers", err)
		if after == before {
			t.notShown("the loss of an answer of %s had no effect: none was lost", c.label)
		}
	}
}

// heal ends cut and delay.
func (t *trial) heal(c *client) {
	t.mu.Lock()
	c.healed = time.Now()
	t.mu.Unlock()
	t.power("heal a link", t.rig.(Linker).Heal(c.Locker))
	t.event(c.label, "heal", "", 0, "link healed")
	t.step("the link of %s is healed", c.label)
}

// delay makes one direction of the link of c slow.
func (t *trial) delay(c *client, dir Direction, d time.Duration) {
	t.power("delay a link", t.rig.(Linker).Delay(c.Locker, dir, d))
	t.event(c.label, "fault", "", 0, fmt.Sprintf("link slower by %s (%s)", short(d), dir))
	t.step("the link of %s is made slower by %s (%s)", c.label, short(d), dir)
}

// crash ends c as a crash would, and returns the proof as cut does.
func (t *trial) crash(c *client) (proved func()) {
	t.power("crash a client", t.rig.(Crasher).Crash(c.Locker))
	t.event(c.label, "fault", "", 0, "crashed")
	t.step("%s crashes", c.label)
	return t.canary(c, "the crash")
}

// canary shows that c gets nothing from the server any more.
func (t *trial) canary(c *client, what string) (proved func()) {
	return t.silent(c, what+" of "+c.label)
}

// silent is canary for a fault that is not only that of c.
func (t *trial) silent(c *client, fault string) (proved func()) {
	return t.prove(fault, func() bool { return t.gets(c, "canary") })
}

// apart is silent for a fault that parts alone from other. That alone is granted
// something does not disprove it, and is a finding, if other is granted the same:
// neither knows of the other then.
func (t *trial) apart(alone, other *client, fault string) (proved func()) {
	return t.prove(fault, func() bool { return t.gets(alone, "canary") && !t.gets(other, "canary") })
}

// gets reports whether c is granted a name at once.
func (t *trial) gets(c *client, name string) bool {
	ctx, cancel := context.WithTimeout(t.ctx, t.prompt())
	defer cancel()
	var (
		got         bool
		asked, told time.Time
	)
	call := make(chan struct{})
	go func() {
		defer close(call)
		asked = time.Now()
		lock, _ := c.TryAcquire(ctx, name, locker.WithTTL(t.ttl()))
		got, told = lock != nil, time.Now()
	}()
	// A client that hangs here got no answer either.
	if !waitFor(call, 2*t.prompt()) || !got {
		return false
	}
	// Nor did one that goes on asking after its context has ended, and is
	// answered when its link is healed.
	t.mu.Lock()
	defer t.mu.Unlock()
	return !asked.Before(c.healed) || told.Before(c.healed)
}

// prove asks in the background whether a fault failed to have an effect.
func (t *trial) prove(fault string, failed func() bool) (proved func()) {
	proof := &proof{fault: fault, over: make(chan struct{})}
	t.mu.Lock()
	t.proofs = append(t.proofs, proof)
	t.mu.Unlock()
	t.spawn(func() {
		defer close(proof.over)
		proof.failed = failed()
	})
	return func() {
		if <-proof.over; proof.failed {
			t.notShown("%s", proof)
		}
	}
}

// A proof shows whether a fault had an effect.
type proof struct {
	fault  string
	over   chan struct{}
	failed bool // to be read when over is closed
}

func (p *proof) String() string { return p.fault + " had no effect: it could still acquire a lock" }

// disproved waits for the proofs that are under way, and returns one that
// failed: without its fault, a finding is none.
func (t *trial) disproved() *proof {
	t.mu.Lock()
	proofs := t.proofs
	t.mu.Unlock()
	for _, p := range proofs {
		if waitFor(p.over, 3*t.prompt()) && p.failed {
			return p
		}
	}
	return nil
}

// evict removes the hold of a name behind everybody's back.
func (t *trial) evict(h *hold) {
	t.power("evict a lock", t.rig.(Evictor).Evict(t.ctx, h.Name()))
	t.event(h.c.label, "fault", h.Name(), h.Token(), "evicted on the server")
	t.step("the hold of %s is removed on the server", h.c.label)
}

// String says which way.
func (d Direction) String() string {
	switch d {
	case Up:
		return "requests"
	case Down:
		return "answers"
	case Both:
		return "both ways"
	}
	return fmt.Sprintf("Direction(%d)", int(d))
}
