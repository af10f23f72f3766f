package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/lockerlib/locker"
)

func fencingChecks() []Check {
	return []Check{
		{ID: "F1", Class: Required, Within: 10, body: f1,
			Rule: "Tokens strictly increase over the holds of a name by different clients."},
		{ID: "F2", Class: Required, Within: 12, body: f2,
			Rule: "Tokens go on increasing after nobody has held the name for a while, and after every client has left."},
		{ID: "F3", Class: Required, Within: 14, body: f3, Needs: []Power{PowerCrash, PowerEvict},
			Rule: "Tokens go on increasing over expiry and eviction."},
		{ID: "F4", Class: Required, Within: 16, body: f4, Needs: []Power{PowerLinks},
			Rule: "A resource that refuses smaller tokens refuses the late write of a former holder."},
		{ID: "F5", Class: Required, Within: 6, body: f5,
			Rule: "Every token is greater than 0 and below 2^53."},
		{ID: "F6", Class: Required, Within: 10, body: f6,
			Rule: "A hand-over inside one client has a new, greater token too."},
	}
}

func f1(t *trial) {
	cs := t.clients(3)
	last := uint64(0)
	n := t.rounds(120, 30)
	t.step("3 clients hold a name in turn, %d times", n)
	for i := range n {
		h := cs[i%3].free("f1")
		if h.Token() <= last {
			t.broken("tokens strictly increase", "hold %d, by %s, had token %d after %d", i+1, h.c.label, h.Token(), last)
		}
		last = h.Token()
		h.drop()
	}
	t.measured("%d holds", n)
}

func f2(t *trial) {
	last := uint64(0)
	t.step("a client holds, leaves, and one TTL and the slack later another one holds; 3 times")
	for i := range 3 {
		c := t.open(fmt.Sprintf("C%d", i+1))
		h := c.free("f2")
		if h.Token() <= last {
			t.broken("tokens increase although the name was not held for a while", "%d followed %d", h.Token(), last)
		}
		last = h.Token()
		h.drop()
		if err := c.Close(); err != nil {
			t.notShown("the client could not be closed: %v", err)
		}
		t.sleep(t.freed(t.ttl()))
	}
}

func f3(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("f3")
	t.evict(h)
	g := b.within(t.freed(t.ttl()), "an evicted name can be acquired", "f3")
	if g.Token() <= h.Token() {
		t.broken("tokens increase over an eviction", "%d followed %d", g.Token(), h.Token())
	}
	proved := t.crash(b)
	t.expires(g, c).drop()
	proved()
}

// A register is a resource that two holders write to: once as a careful one
// that refuses smaller tokens than it has seen, once as one that believes all.
type register struct {
	highest  atomic.Uint64
	fenced   string
	unfenced string
}

func (r *register) write(token uint64, text string) (accepted bool) {
	r.unfenced = text
	if token < r.highest.Load() {
		return false
	}
	r.highest.Store(token)
	r.fenced = text
	return true
}

func f4(t *trial) {
	a, b := t.pair()
	a.free("f4 warm").drop()

	t.step("A, who holds, is cut off; B acquires and writes; then A writes")
	h := a.free("f4")
	proved := t.cut(a)
	g := b.within(t.freed(h.TTL()), "the name of a client that is cut off is free by one TTL and the slack", "f4")
	t.late(h, g)
	if lost, ok := errors.AsType[*locker.LostError](h.Err()); ok {
		h.drawLoss(lost)
	}
	proved()
	t.heal(a)
	g.drop()

	// A grant that is a long time on its way: a token that is fetched in a
	// second request is greater than that of the hold in between.
	t.step("A acquires over a slow link; B acquires when A's lease has run out, and writes; then A writes")
	a.within(t.ttl()+t.freed(t.ttl()), "a client whose link is healed recovers by itself", "f4 slow").drop()
	t.delay(a, Both, t.ttl()*6/10)
	ctx, cancel := context.WithTimeout(t.ctx, 4*t.ttl())
	defer cancel()
	slow := a.waiting(ctx, "f4 slow")
	t.sleep(t.ttl() * 8 / 10)
	g = b.within(4*t.ttl()+t.freed(t.ttl()), "a name is free by one TTL and the slack after a grant that nobody renewed", "f4 slow", locker.WithTTL(4*t.ttl()))
	o, ok := <-slow
	if !ok {
		t.live()
	}
	if o.hold != nil {
		t.late(o.hold, g)
	}
	t.heal(a)
	_ = g.release()
}

// late lets the holder of g write, and then the former holder of h.
func (t *trial) late(h, g *hold) {
	var r register
	if !r.write(g.Token(), "new") {
		t.notShown("the register refused its first write")
	}
	if r.write(h.Token(), "late") {
		t.broken("a resource that refuses smaller tokens refuses the late write", "the former holder's token %d was accepted after %d", h.Token(), g.Token())
	}
	t.need(r.fenced == "new" && r.unfenced == "late", "the unfenced control did not lose the update")
	t.measured("late write refused, control overwritten")
}

func f5(t *trial) {
	cs := t.clients(2)
	var greatest uint64
	for i := range 20 {
		h := cs[i%2].free(fmt.Sprintf("f5 %d", i%5))
		token := h.Token()
		if token == 0 || token >= 1<<53 {
			t.broken("a token is greater than 0 and below 2^53", "it was %d", token)
		}
		greatest = max(greatest, token)
		h.drop()
	}
	t.measured("up to %d", greatest)
}

func f6(t *trial) {
	a := t.open("A")
	last := a.free("f6")
	n := t.rounds(20, 10)
	t.step("%d goroutines of A wait, and get the name in turn", n)
	grants := make(chan *hold, n)
	for range n {
		next := a.waiting(t.ctx, "f6")
		t.spawn(func() {
			if o, ok := <-next; ok && o.hold != nil {
				grants <- o.hold
			}
		})
	}
	t.sleep(t.spacing())
	for range n {
		last.drop()
		select {
		case h := <-grants:
			if h.Token() <= last.Token() {
				t.broken("a hand-over inside one client has a greater token", "%d followed %d", h.Token(), last.Token())
			}
			last = h
		case <-t.ctx.Done():
			t.live()
		}
	}
	last.drop()
	t.measured("%d hand-overs", n)
}
