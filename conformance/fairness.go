package conformance

import (
	"context"
	"time"
)

func fairnessChecks() []Check {
	return []Check{
		{ID: "Q1", Class: Required, Within: 12, body: q1,
			Rule: "Waiters of different clients are served in the order in which they queued up."},
		{ID: "Q2", Class: Stochastic, Within: 16, body: q2,
			Rule: "Of greedy clients nobody starves."},
		{ID: "Q3", Class: Required, Within: 14, body: q3,
			Rule: "A waiter that gives up leaves the order of the others as it was."},
		{ID: "Q4", Class: Required, Within: 20, body: q4,
			Rule: "A client with many waiters of its own does not keep a name from another client."},
	}
}

// queue lets n clients queue up, one after the other, behind a holder.
func (t *trial) queue(name string, n int) (holder *hold, waiters []*client, cancels []context.CancelFunc, grants chan *hold) {
	cs := t.clients(n + 1)
	holder, waiters = cs[n].free(name), cs[:n]
	grants = make(chan *hold, n)
	for _, c := range waiters {
		ctx, cancel := context.WithCancel(t.ctx)
		cancels = append(cancels, cancel)
		next := c.queued(ctx, name)
		t.spawn(func() {
			if o, ok := <-next; ok && o.hold != nil {
				grants <- o.hold
			}
		})
	}
	return holder, waiters, cancels, grants
}

// served releases holder after holder and returns in which order the waiters
// got the name.
func (t *trial) served(holder *hold, grants chan *hold, n int) []string {
	var order []string
	for range n {
		holder.drop()
		select {
		case holder = <-grants:
			order = append(order, holder.c.label)
		case <-time.After(t.ttl() + t.prompt()):
			t.broken("every waiter is served", "after %s nobody was", join(order))
		case <-t.ctx.Done():
			t.live()
		}
	}
	holder.drop()
	return order
}

func (t *trial) ordered(order []string, waiters []*client) {
	for i, c := range waiters {
		if order[i] != c.label {
			var want []string
			for _, c := range waiters {
				want = append(want, c.label)
			}
			t.broken("waiters are served in the order "+join(want), "it was %s", join(order))
		}
	}
}

func q1(t *trial) {
	const n = 5
	holder, waiters, _, grants := t.queue("q1", n)
	t.step("%d clients queued up, %s apart; each is served and releases", n, short(t.spacing()))
	t.ordered(t.served(holder, grants, n), waiters)
	t.measured("%d of %d in order", n, n)
}

func q3(t *trial) {
	const n = 5
	holder, waiters, cancels, grants := t.queue("q3", n)
	t.step("of %d waiters the second and the first give up", n)
	cancels[1]()
	t.sleep(t.spacing())
	cancels[0]()
	t.sleep(t.spacing())
	t.ordered(t.served(holder, grants, n-2), waiters[2:])
	t.measured("%d of %d in order", n-2, n-2)
}

func q2(t *trial) {
	const n = 8
	cs := t.clients(n)
	total := int64(t.rounds(400, 160))
	var holds counter
	shares := make([]int64, n)
	t.step("%d clients acquire and release one name as fast as they can, %d times in all", n, total)
	t.each(n, func(i int) {
		for holds.add(1) <= total {
			o := cs[i].acquire(t.ctx, "q2")
			if o.err != nil {
				t.broken("Acquire gets the name in the end", "%s got %v", cs[i].label, o.err)
			}
			shares[i]++
			t.sleep(100 * time.Microsecond)
			o.hold.drop()
		}
	})
	var sum, squares float64
	least := shares[0]
	for _, s := range shares {
		sum += float64(s)
		squares += float64(s * s)
		least = min(least, s)
	}
	t.need(sum > 0, "nobody acquired")
	jain := sum * sum / (n * squares)
	// An even share is an eighth; a fifth of that is far below what chance takes
	// away over so many holds.
	if float64(least) < sum/n/5 {
		t.broken("every client gets a share", "of %d holds the clients got %v (Jain index %.2f)", total, shares, jain)
	}
	t.measured("Jain index %.2f", jain)
}

// handoffs bounds how many holds may pass inside of one client while another one
// waits. It is generous: what it must tell is a bound from none.
const handoffs = 100

// q4 holds wherever a name is handed on inside of a client, whether or not the
// server is told of it.
func q4(t *trial) {
	a, b := t.pair()
	const greedy = 8
	turns := t.rounds(20, 5)
	var holds, over counter
	var worst int64
	t.step("%d goroutines of A acquire and release a name as fast as they can; B gets it %d times", greedy, turns)
	t.each(greedy+1, func(i int) {
		if i < greedy {
			for over.get() == 0 {
				o := a.acquire(t.ctx, "q4")
				if o.err != nil {
					t.broken("Acquire gets the name in the end", "A got %v", o.err)
				}
				holds.add(1)
				t.sleep(100 * time.Microsecond)
				o.hold.drop()
			}
			return
		}
		defer over.add(1)
		t.sleep(t.spacing())
		for range turns {
			before := holds.get()
			limit := t.ttl() + t.prompt()
			h := b.within(limit, "a client alone gets a name that many of another client want", "q4")
			worst = max(worst, holds.get()-before)
			if worst > handoffs {
				t.broken("a client alone gets a name that many of another client want", "A had it %d times while B waited", worst)
			}
			h.drop()
		}
	})
	t.need(holds.get() > greedy, "A was not greedy: it had the name %d times", holds.get())
	t.measured("at most %d holds of A before B", worst)
}
