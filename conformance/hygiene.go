package conformance

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/lockerlib/locker"
)

func hygieneChecks() []Check {
	return []Check{
		{ID: "H1", Class: Required, Within: 20, body: h1, Needs: []Power{PowerObserve},
			Rule: "After holds, cancelled waits and Close, nothing is left on the server."},
		{ID: "H2", Class: Required, Within: 16, body: h2,
			Rule: "After Close no goroutine is left."},
		{ID: "H3", Class: Required, Within: 10, body: h3,
			Rule: "Close ends holds as lost and closed, wakes waiters with ErrClosed, and frees the names."},
		{ID: "H4", Class: Required, Within: 16, body: h4, Needs: []Power{PowerObserve},
			Rule: "An acquire that fails leaves nothing on the server."},
		{ID: "H6", Class: Required, Within: 20, body: h6,
			Rule: "Close may be called beside every other call, and twice."},
		{ID: "H7", Class: Required, Within: 8, body: h7, Needs: []Power{PowerShare},
			Rule: "Close does not close a client that the caller passed in."},
	}
}

// clean waits until the server has no more than what allowed lists, and gives
// what a cancelled request left the time that it may take.
func (t *trial) clean(allowed []string, expected string) {
	o := t.rig.(Observer)
	until := time.Now().Add(t.ttl() + t.freed(t.ttl()))
	for {
		left, err := o.Residue(t.ctx)
		t.power("see what is on the server", err)
		left = beyond(left, allowed)
		if len(left) == 0 {
			return
		}
		if time.Now().After(until) {
			if len(left) > 10 {
				left = append(left[:10], "…")
			}
			t.broken(expected, "left were: %s", strings.Join(left, "; "))
		}
		t.sleep(t.ttl() / 10)
	}
}

// beyond returns what of left exceeds allowed in number, by the kind of each
// line: its first word. Names and ids change with every lease.
func beyond(left, allowed []string) []string {
	budget := make(map[string]int)
	for _, line := range allowed {
		budget[kind(line)]++
	}
	var over []string
	for _, line := range left {
		if budget[kind(line)]--; budget[kind(line)] < 0 {
			over = append(over, line)
		}
	}
	return over
}

func kind(line string) string {
	word, _, _ := strings.Cut(line, " ")
	return word
}

func h1(t *trial) {
	o := t.rig.(Observer)
	before, err := o.Residue(t.ctx)
	t.power("see what is on the server", err)
	t.need(len(before) == 0, "the server was not empty before: %s", strings.Join(before, "; "))
	a, b := t.pair()
	t.step("50 holds, and half as many cancelled waits and failed tries; then both clients are closed")
	for i := range 50 {
		h := a.free("h1")
		if i%2 == 0 {
			ctx, cancel := context.WithCancel(t.ctx)
			next := b.waiting(ctx, "h1")
			b.refused("h1", "while A held it")
			cancel()
			if o, ok := <-next; ok && o.hold != nil {
				o.hold.drop()
			}
		}
		if i == 25 {
			seen, err := o.Residue(t.ctx)
			t.power("see what is on the server", err)
			t.need(len(seen) > 0, "the rig sees nothing on the server while a lock is held")
		}
		h.drop()
	}
	for _, c := range []*client{a, b} {
		if err := c.Close(); err != nil {
			t.broken("Close returns nil", "it said %v", err)
		}
	}
	t.clean(nil, "after Close nothing is left on the server")
	t.measured("nothing left")
}

func h2(t *trial) {
	count, end := labelled(t)
	defer end(nil)
	var closeErr error
	end(func() {
		a := t.open("A")
		b := t.open("B")
		for range 5 {
			h := a.free("h2")
			ctx, cancel := context.WithCancel(t.ctx)
			next := b.queued(ctx, "h2")
			cancel()
			<-next
			b.refused("h2", "while A held it")
			h.drop()
		}
		a.free("h2 still held")
		closeErr = errors.Join(a.Close(), b.Close())
	})
	if closeErr != nil {
		t.broken("Close returns nil", "it said %v", closeErr)
	}
	t.step("two clients hold, wait, are cancelled and closed")
	until := time.Now().Add(t.ttl() + t.prompt())
	for {
		stacks := count()
		if len(stacks) == 0 {
			break
		}
		if time.Now().After(until) {
			t.broken("after Close no goroutine is left", "%d were, one of them:\n%s", len(stacks), stacks[0])
		}
		t.sleep(t.ttl() / 20)
	}
	t.measured("none left")
}

func h3(t *trial) {
	a, b := t.pair()
	_, owned := t.owned("owner")
	h1, h2 := a.free("h3 one"), a.free("h3 two", owned...)
	other := b.free("h3 other")
	waiter := a.queued(t.ctx, "h3 other")
	next := b.queued(t.ctx, "h3 one")
	t.step("A, who holds two names and waits for a third, is closed")
	var err error
	limited, cancel := context.WithTimeout(t.ctx, 6*time.Second+t.slop())
	defer cancel()
	if !t.bounded(limited, func() { err = a.Close() }) {
		t.broken("Close returns within about five seconds", "it was still blocked")
	}
	if err != nil {
		t.broken("Close returns nil", "it said %v", err)
	}
	for _, h := range []*hold{h1, h2} {
		if !isClosed(h.Done()) {
			t.broken("Close ends every hold", "Done of %s was open", quote(h.Name()))
		}
		if err := h.Err(); !errors.Is(err, locker.ErrLost) || !errors.Is(err, locker.ErrClosed) {
			t.broken("Close ends a hold as lost and closed", "Err of %s was %v", quote(h.Name()), err)
		}
		if err := h.release(); !errors.Is(err, locker.ErrLost) {
			t.broken("Release after Close says ErrLost", "it said %v", err)
		}
	}
	o, ok := t.outcomeWithin(waiter, t.prompt())
	if !ok || o.hold != nil || !errors.Is(o.err, locker.ErrClosed) {
		t.broken("Close wakes waiters with ErrClosed", "returned: %t, error %v", ok, o.err)
	}
	t.grant(next, t.prompt(), "Close frees what was held").drop()
	for what, call := range map[string]func(context.Context, string, ...locker.Option) outcome{"Acquire": a.acquire, "TryAcquire": a.try} {
		if o := call(t.ctx, "h3 late"); o.hold != nil || !errors.Is(o.err, locker.ErrClosed) {
			t.broken("after Close every acquire says ErrClosed", "%s said %v", what, o.err)
		}
	}
	other.held("after another client was closed")
	other.drop()
	b.free("h3 late").drop()
}

func h4(t *trial) {
	o := t.rig.(Observer)
	a, b := t.pair()
	holder := a.free("h4")
	b.free("h4 other").drop() // what a client keeps per TTL is there from now on
	t.sleep(t.spacing())
	before, err := o.Residue(t.ctx)
	t.power("see what is on the server", err)
	t.need(len(before) > 0, "the rig sees nothing on the server while a lock is held")
	t.step("B fails 20 times: tries, cancelled waits and waits out of patience")
	for range 20 {
		b.refused("h4", "while A held it")
		ctx, cancel := context.WithCancel(t.ctx)
		next := b.waiting(ctx, "h4")
		t.sleep(t.raceWindow())
		cancel()
		if o, ok := <-next; ok && o.hold != nil {
			t.broken("a held name is not granted", "B got it while A held it")
		}
		if t.withholds(OfferPatience) {
			continue
		}
		if o := b.acquire(t.ctx, "h4", locker.WithMaxWait(t.raceWindow())); o.hold != nil {
			t.broken("a held name is not granted", "B got it while A held it")
		}
	}
	t.clean(before, "an acquire that failed leaves nothing on the server")
	holder.held("while others failed")
	holder.drop()
}

func h6(t *trial) {
	rounds := t.rounds(20, 4)
	t.step("a client is closed by two goroutines while others acquire, release and look, %d times", rounds)
	for range rounds {
		a := t.open("A")
		gate := t.raceWindow() * time.Duration(1+t.rand(4))
		t.each(10, func(i int) {
			if i < 2 {
				t.sleep(gate)
				if err := a.Close(); err != nil {
					t.broken("Close returns nil", "it said %v", err)
				}
				return
			}
			for {
				o := a.acquire(t.ctx, "h6")
				if errors.Is(o.err, locker.ErrClosed) {
					return
				}
				if o.err != nil {
					t.broken("an acquire beside Close succeeds or says ErrClosed", "it said %v", o.err)
				}
				t.sleep(10 * time.Microsecond)
				err := o.hold.release()
				if err != nil && !errors.Is(err, locker.ErrClosed) {
					t.broken("a release beside Close succeeds or says ErrLost and ErrClosed", "it said %v", err)
				}
			}
		})
		b := t.open("B")
		b.within(t.ttl(), "Close frees what was held", "h6").drop()
		if err := b.Close(); err != nil {
			t.broken("Close returns nil", "it said %v", err)
		}
		if err := b.Close(); err != nil {
			t.broken("a second Close returns nil", "it said %v", err)
		}
	}
}

func h7(t *trial) {
	l, alive, err := t.rig.(Shared).OpenShared(t.ctx)
	t.power("open a Locker over a client of the caller", err)
	a := &client{Locker: l, t: t, label: "A"}
	a.free("h7")
	t.power("use its own client", alive(t.ctx))
	t.step("a Locker over the caller's client is closed")
	if err := a.Close(); err != nil {
		t.broken("Close returns nil", "it said %v", err)
	}
	if err := alive(t.ctx); err != nil {
		t.broken("the caller's client works after Close", "it said %v", err)
	}
	b := t.open("B")
	b.within(t.prompt(), "Close frees what was held", "h7").drop()
}
