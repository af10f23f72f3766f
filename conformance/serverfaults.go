package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

// Exclusion at the server and fencing must hold under every fault: that is what
// trial.never is for. What a hold is worth besides is as the backend declares.
func serverFaultChecks() []Check {
	checks := []Check{
		{ID: "S1", Within: 12, body: s1, Needs: []Power{PowerPause},
			Rule: "A server that stands still for less than the TTL costs nobody a hold or a place in the queue."},
		{ID: "S2", Within: 16, body: s2, Needs: []Power{PowerPause},
			Rule: "A holder whose server stands still for longer than the TTL is told, before another can acquire."},
		{ID: "S3", Within: 24, body: s3, Needs: []Power{PowerRestart},
			Rule: "A hold outlives a kill and restart of the server within the TTL."},
		{ID: "S4", Within: 24, body: s4, Needs: []Power{PowerForget},
			Rule: "A hold stays the only one when the server is killed and starts with nothing."},
		{ID: "S5", Within: 16, body: s5, Needs: []Power{PowerLinks},
			Rule: "A link that is cut up, down or both ways costs no hold if it heals within the TTL, and is told if not."},
		{ID: "S6", Within: 40, body: s6, Needs: []Power{PowerCluster},
			Rule: "A member on the minority side of a partition grants nothing, and its holders are told before the majority grants."},
		{ID: "S7", Within: 40, body: s7, Needs: []Power{PowerCluster},
			Rule: "A hold and a waiter outlive the death of the leader within the TTL."},
		{ID: "S8", Within: 40, body: s8, Needs: []Power{PowerCluster},
			Rule: "Without a quorum nothing is granted and holders are told; with it everything goes on."},
		{ID: "S9", Within: 24, body: s9, Needs: []Power{PowerFailover},
			Rule: "A hold stays the only one over a failover to a replica whose link was cut."},
		{ID: "S10a", Within: 16, body: s10a, Needs: []Power{PowerCrowd},
			Rule: "A hold stays the only one when the server evicts data to make room."},
		{ID: "S10b", Within: 16, body: s10b, Needs: []Power{PowerFlush},
			Rule: "A hold stays the only one when all data is deleted."},
		{ID: "S10c", Within: 12, body: s10c, Needs: []Power{PowerFlushScripts},
			Rule: "A server that has forgotten its scripts costs nobody a hold or a place in the queue."},
		{ID: "S10d", Within: 12, body: s10d, Needs: []Power{PowerKillClients},
			Rule: "A server that ends all connections costs nobody a hold or a place in the queue."},
		{ID: "S10e", Within: 14, body: s10e, Needs: []Power{PowerCompact, PowerLinks},
			Rule: "A waiter outlives the compaction of what it had not seen yet."},
		{ID: "S11", Within: 12, body: s11, Needs: []Power{PowerWall},
			Rule: "A client's wall clock that jumps by an hour either way changes nothing."},
		{ID: "S12", Within: 20, body: s12, Needs: []Power{PowerLinks},
			Rule: "A hold lasts when every answer comes half a TTL late."},
		{ID: "S13", Within: 16, body: s13, Needs: []Power{PowerStep},
			Rule: "A hold stays the only one when the server's wall clock is stepped by an hour."},
		{ID: "S14", Within: 24, body: s14, Needs: []Power{PowerPause},
			Rule: "A claim that the server carries out after it was given up comes to nothing."},
		{ID: "S15", Within: 24, body: s15, Needs: []Power{PowerFill},
			Rule: "A server without room for more keeps holds and frees them; what it cannot grant fails, and not as held."},
		{ID: "S16", Within: 16, body: s16, Needs: []Power{PowerHalfOpen},
			Rule: "Connections that go dead without a sign cost no hold and no place in the queue as long as new ones work."},
		{ID: "S17", Within: 20, body: s17, Needs: []Power{PowerStall, PowerLinks},
			Rule: "A client that reads nothing is told by its Deadline, delays nobody by more than its lease, and what it reads later grants nothing."},
		{ID: "S18", Within: 32, body: s18, Needs: []Power{PowerNetwork},
			Rule: "A server that is off its network costs nobody a hold if it is back within the TTL; if not, the holder is told first, and what comes late revives nothing."},
		{ID: "S19", Within: 12, body: s19, Needs: []Power{PowerReset},
			Rule: "Connections that are reset cost nobody a hold or a place in the queue."},
	}
	for i := range checks {
		checks[i].Class, checks[i].Set = Required, Faults
	}
	return checks
}

// A sight is what the holder believed in the instant in which another one's
// Acquire returned.
type sight struct {
	o      outcome
	belief error // Err of the holder
}

// rival has b acquire the name of h in the background. What A believes is asked
// in the goroutine in which B's Acquire has just returned: on one clock, with
// nothing in between.
func (t *trial) rival(b *client, h *hold) <-chan sight {
	seen := make(chan sight, 1)
	t.spawn(func() {
		defer close(seen)
		o := b.acquire(t.ctx, h.Name())
		seen <- sight{o, h.Err()}
	})
	return seen
}

// sees waits up to d for what rival sees, which must be a grant. Whatever the
// fault, its token is greater: a resource that compares tokens is safe.
func (t *trial) sees(seen <-chan sight, h *hold, d time.Duration) sight {
	const expected = "the name can be acquired again"
	select {
	case s, ok := <-seen:
		switch {
		case !ok:
			panic(stopped{})
		case s.o.err != nil:
			t.broken(expected, "B got %v", s.o.err)
		case s.o.hold.Token() <= h.Token():
			t.never("tokens increase under every fault", "B got token %d after A's %d", s.o.hold.Token(), h.Token())
		}
		return s
	case <-time.After(d):
		if h.Err() == nil {
			t.notShown("the fault had no effect: A held on, and B was still waiting after %s", short(d))
		}
		t.broken(expected, "B was still waiting after %s", short(d))
	case <-t.ctx.Done():
		t.live()
	}
	panic(stopped{})
}

// follows is sees, and A must have known of its loss.
func (t *trial) follows(seen <-chan sight, h *hold, d time.Duration) *hold {
	s := t.sees(seen, h, d)
	if !errors.Is(s.belief, locker.ErrLost) {
		t.broken("A is told before another can acquire", "when B's Acquire returned, A's Err was %v", s.belief)
	}
	return s.o.hold
}

// alone says how two clients held at once, or "" if they did not. A must be
// told by its next renewal, whatever the backend declares.
func (t *trial) alone(s sight, h *hold) (double string) {
	if s.belief != nil {
		return ""
	}
	g := s.o.hold
	lost := h.lost(h.TTL()+t.slop(), "a holder whose hold the server no longer has is told by its next renewal")
	d := lost.At.Sub(g.got)
	t.measured("two holders for %s", short(d))
	return fmt.Sprintf("B got token %d while A, with token %d, believed to hold; A was told %s later", g.Token(), h.Token(), short(d))
}

// recovery is how long an acquire may take once a fault is over.
func (t *trial) recovery() time.Duration { return 2*t.ttl() + t.freed(t.ttl()) }

// recovers has each client acquire and release once.
func (t *trial) recovers(name string, cs ...*client) {
	for _, c := range cs {
		c.within(t.recovery(), "after the fault an acquire succeeds", name).drop()
	}
}

// fault and mended put what is done to the server on the timeline.
func (t *trial) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.event("server", "fault", "", 0, text)
	t.step("%s", text)
}

func (t *trial) mended(text string) {
	t.event("server", "heal", "", 0, text)
	t.step("%s", text)
}

// vanishes is the course of all checks in which the server loses a hold: A
// holds, the fault takes its hold away, and B acquires. Two holders at once are
// the counter-example.
func (t *trial) vanishes(name string, cs []*client, fault func(h *hold)) {
	a, b := cs[0], cs[1]
	h := a.free(name, locker.WithTTL(4*t.ttl()))
	fault(h)
	s := t.sees(t.rival(b, h), h, t.recovery())
	t.late(h, s.o.hold)
	double := t.alone(s, h)
	if err := h.release(); !errors.Is(err, locker.ErrLost) {
		t.broken("Release of a lost hold says ErrLost", "it said %v", err)
	}
	s.o.hold.kept(a, "after A, whose hold was lost, released")
	s.o.hold.drop()
	t.recovers(name, a, b)
	if double != "" {
		t.broken("nobody else gets the name while A believes to hold it", "%s", double)
	}
}

// goesOn shows that neither a holder nor a waiter has lost anything: the hold
// lasts, others are refused, and its release wakes the waiter.
func (t *trial) goesOn(h *hold, next <-chan outcome, c *client, after string) {
	for range 4 {
		h.held(after)
		c.refused(h.Name(), after)
		t.sleep(h.TTL() / 3)
	}
	h.held(after)
	h.drop()
	g := t.grant(next, t.recovery(), "the waiter gets the name, "+after)
	if g.Token() <= h.Token() {
		t.never("tokens increase under every fault", "the waiter got %d after %d", g.Token(), h.Token())
	}
	g.drop()
	t.recovers(h.Name(), c)
}

// long is a TTL within which a server is back.
func (t *trial) long() locker.Option { return locker.WithTTL(4 * t.ttl()) }

// unanswered asserts that a try comes to nothing, and not because of somebody
// else.
func (c *client) unanswered(name, when string) {
	t := c.t
	ctx, cancel := context.WithTimeout(t.ctx, t.prompt())
	defer cancel()
	switch o := c.try(ctx, name); {
	case o.hold != nil:
		t.never("nothing is granted "+when, "%s got %s with token %d", c.label, quote(name), o.hold.Token())
	case errors.Is(o.err, locker.ErrHeld):
		t.broken("ErrHeld is said only when somebody holds the name", "%s got %v %s", c.label, o.err, when)
	}
}
