package conformance

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
)

func exclusionChecks() []Check {
	return []Check{
		{ID: "X1", Class: Required, Within: 6, body: x1,
			Rule: "A try at a held name fails with ErrHeld, at once and without a lock."},
		{ID: "X2", Class: Required, Within: 30, body: x2,
			Rule: "Of many clients that compete for a name, at most one is inside at any instant."},
		{ID: "X3", Class: Required, Within: 20, body: x3,
			Rule: "Of many simultaneous tries at a free name exactly one wins."},
		{ID: "X4", Class: Required, Within: 20, body: x4,
			Rule: "A try at a free name wins, and a try that failed does not make another one fail."},
		{ID: "X5", Class: Required, Within: 20, body: x5, Needs: []Power{PowerSpawn},
			Rule: "Clients in different operating system processes exclude each other."},
		{ID: "X7", Class: Required, Within: 20, body: x7,
			Rule: "Goroutines that share one Locker exclude each other."},
	}
}

func x1(t *trial) {
	a, b := t.pair()
	h := a.free("x1")
	limit := t.ttl()/10 + t.slop()
	t.step("A holds; B and A try it, 5 times each")
	for range 5 {
		for _, c := range []*client{b, a} {
			ctx, cancel := context.WithTimeout(t.ctx, t.ttl())
			o := c.try(ctx, "x1")
			cancel()
			switch {
			case o.hold != nil:
				t.broken("a try at a held name is refused", "%s was granted it while A held it (tokens %d and %d)", c.label, h.Token(), o.hold.Token())
			case o.took > limit:
				t.overdue("a try does not wait", "it took %s, more than %s", short(o.took), short(limit))
			case !errors.Is(o.err, locker.ErrHeld):
				t.broken("a try at a held name fails with ErrHeld", "%s got %v", c.label, o.err)
			}
			var held *locker.HeldError
			if !errors.As(o.err, &held) || held.Name != "x1" {
				t.broken("ErrHeld comes as a *HeldError with the name", "%s got %#v", c.label, o.err)
			}
		}
	}
	h.held("while others tried")
	h.drop()
}

// A section is what a lock protects in a check. Its fields are read and written
// in two steps, so that only the lock keeps them exact. They are atomic because
// the race detector does not see the order that a server in between gives.
type section struct {
	t      *trial
	inside counter
	total  atomic.Int64
	last   atomic.Pointer[client]
	passed atomic.Int64 // handovers between different clients
}

// visit runs inside of the section and breaks if somebody else is in it.
func (s *section) visit(c *client, stay time.Duration) {
	if n := s.inside.add(1); n != 1 {
		s.t.broken("one client is inside at a time", "%s came in while %d others were", c.label, n-1)
	}
	total := s.total.Load()
	if last := s.last.Swap(c); last != nil && last != c {
		s.passed.Add(1)
	}
	s.t.sleep(stay)
	s.total.Store(total + 1)
	s.inside.add(-1)
}

// judge checks the total when everybody has left.
func (s *section) judge(want int) {
	if got := s.total.Load(); got != int64(want) {
		s.t.broken("no addition is lost", "the total was %d instead of %d", got, want)
	}
	s.t.need(s.passed.Load() > 0, "the name never went from one to another")
	s.t.measured("%d holds, %d handovers", want, s.passed.Load())
}

func x2(t *trial) {
	const n = 5
	rounds := t.rounds(40, 12)
	cs := t.clients(n)
	s := &section{t: t}
	t.step("%d clients acquire one name %d times each, and add to a total that only the lock protects", n, rounds)
	t.each(n, func(i int) {
		for range rounds {
			o := cs[i].acquire(t.ctx, "x2")
			if o.err != nil {
				t.broken("Acquire gets the name in the end", "%s got %v", cs[i].label, o.err)
			}
			s.visit(cs[i], time.Duration(t.rand(int64(time.Millisecond))))
			o.hold.drop()
		}
	})
	s.judge(n * rounds)
}

func x3(t *trial) {
	const n = 6
	cs := t.clients(n)
	rounds := t.rounds(20, 20)
	void := 0
	t.step("%d clients try a free name at once, %d rounds", n, rounds)
	for round := range rounds {
		won := make([]*hold, n)
		gate := make(chan struct{})
		t.each(n, func(i int) {
			if i == n-1 {
				close(gate)
			}
			<-gate
			o := cs[i].try(t.ctx, "x3")
			if o.err != nil && !errors.Is(o.err, locker.ErrHeld) {
				t.broken("a try wins or fails with ErrHeld", "%s got %v", cs[i].label, o.err)
			}
			won[i] = o.hold
		})
		var winners []*hold
		for _, h := range won {
			if h != nil {
				winners = append(winners, h)
			}
		}
		// On a server that is overloaded a winner may have lost its hold since,
		// and know it; then another may have won rightly.
		live := slices.DeleteFunc(slices.Clone(winners), func(h *hold) bool { return errors.Is(h.Err(), locker.ErrLost) })
		if len(live) == 1 && len(winners) > 1 {
			t.step("round %d is void: a winner had lost its hold before all had tried", round+1)
			void++
		} else if len(winners) != 1 {
			t.broken("exactly one of the tries wins", "in round %d, %d of %d won", round+1, len(winners), n)
		}
		for _, h := range live {
			h.drop()
		}
	}
	t.need(void <= rounds/4, "a winner had lost its hold too soon in %d of %d rounds", void, rounds)
	t.measured("%d rounds of %d", rounds, n)
}

func x4(t *trial) {
	cs := t.clients(3)
	rounds := t.rounds(60, 30)
	t.step("clients try a name that nobody holds, %d times in turn", rounds)
	for i := range rounds {
		c := cs[i%len(cs)]
		o := c.try(t.ctx, "x4")
		if o.err != nil {
			t.broken("a try at a free name wins", "try %d, by %s: %v", i+1, c.label, o.err)
		}
		for _, other := range cs {
			other.refused("x4", "while "+c.label+" held it")
		}
		o.hold.drop()
	}
	// Each loser tries again at once. Somebody must win each time the name is
	// free: a loser's transient entry must not make everybody lose.
	races := t.rounds(20, 10)
	t.step("all try at once until somebody wins, %d times", races)
	for range races {
		var wins counter
		t.each(len(cs), func(i int) {
			for range 3 {
				if o := cs[i].try(t.ctx, "x4"); o.hold != nil {
					wins.add(1)
					o.hold.drop()
				}
			}
		})
		if wins.get() == 0 {
			t.broken("of tries at a free name one wins", "%d tries on a free name all failed", 3*len(cs))
		}
	}
	t.measured("%d tries", rounds)
}

func x5(t *trial) {
	a := t.open("A")
	p, err := t.rig.(Spawner).Spawn(t.ctx)
	t.power("start a client process", err)
	b := &client{Locker: p, t: t, label: "P"}
	t.step("a client in this process and one in another process hold the same name in turn")
	for range 3 {
		h := a.free("x5")
		b.refused("x5", "while A, in another process, held it")
		ctx, cancel := context.WithTimeout(t.ctx, 4*t.ttl())
		next := b.queued(ctx, "x5")
		h.drop()
		g := t.grant(next, t.prompt(), "a waiter in another process gets the name when it is released")
		a.refused("x5", "while the other process held it")
		if t.disordered(h, g) {
			t.broken("tokens increase over processes", "%d followed %d", g.Token(), h.Token())
		}
		g.drop()
		cancel()
	}
	t.measured("3 handovers each way")
}

func x7(t *trial) {
	const n = 8
	a := t.open("A")
	rounds := t.rounds(25, 8)
	labels := make([]*client, n)
	for i := range labels {
		labels[i] = &client{Locker: a.Locker, t: t, label: "A/" + string(rune('a'+i))}
	}
	h := a.free("x7")
	a.refused("x7", "while another goroutine of A held it")
	h.drop()
	s := &section{t: t}
	t.step("%d goroutines of one Locker acquire one name %d times each", n, rounds)
	t.each(n, func(i int) {
		for range rounds {
			o := labels[i].acquire(t.ctx, "x7")
			if o.err != nil {
				t.broken("Acquire gets the name in the end", "%s got %v", labels[i].label, o.err)
			}
			s.visit(labels[i], time.Duration(t.rand(int64(time.Millisecond))))
			o.hold.drop()
		}
	})
	s.judge(n * rounds)
}
