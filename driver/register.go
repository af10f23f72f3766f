package driver

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

// watchdog is how often the clock is looked at where it can run ahead of Go's
// timers: a hold that a suspension has ended is told within it.
const watchdog = 50 * time.Millisecond

const never = time.Duration(math.MaxInt64)

var errShortAnswer = fmt.Errorf("%w: the backend answered for fewer claims than it was asked to renew", locker.ErrUnavailable)

// The register knows the tickets of one Locker. It renews those that wait or
// hold, in one batch per TTL, at a third of it; and it ends those whose deadline
// has passed. One goroutine does this for all of them.
type register struct {
	l    *Locker
	kick chan struct{} // capacity 1: look again before wakeAt
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	known   map[string]*ticket // by ID, for what is pushed; only if the backend pushes
	groups  map[time.Duration]*group
	wakeAt  time.Duration // until when the goroutine sleeps
	started bool
	stopped bool
}

// A group is the tickets of one TTL.
type group struct {
	ttl      time.Duration
	tickets  []*ticket
	due      time.Duration // of the next renewal
	earliest time.Duration // no deadline in the group is before this
}

// An entry is what the register notes on a ticket; guarded by register.mu.
type entry struct {
	group    *group // nil: not renewed
	index    int    // in group.tickets
	ref      Ref
	deadline time.Duration
}

func newRegister(l *Locker) *register {
	return &register{
		l: l, kick: make(chan struct{}, 1), done: make(chan struct{}),
		known: make(map[string]*ticket), groups: make(map[time.Duration]*group), wakeAt: never,
	}
}

// know makes a ticket known to what is pushed, before its first Claim.
func (r *register) know(t *ticket) {
	if !r.l.pushes {
		return
	}
	r.mu.Lock()
	r.known[t.id] = t
	r.mu.Unlock()
}

func (r *register) find(id string) *ticket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[id]
}

// renew begins to renew a ticket, or takes in what has changed about it. Its
// slot.mu is held.
func (r *register) renew(t *ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &t.entry
	if e.group != nil && e.group.ttl != t.ttl {
		r.remove(t)
	}
	e.ref, e.deadline = t.ref(), t.deadline()
	if e.group == nil {
		g := r.groups[t.ttl]
		if g == nil {
			g = &group{ttl: t.ttl, due: never, earliest: never}
			r.groups[t.ttl] = g
		}
		if len(g.tickets) == 0 {
			g.due, g.earliest = never, never
		}
		e.group, e.index = g, len(g.tickets)
		g.tickets = append(g.tickets, t)
	}
	g := e.group
	g.due = min(g.due, t.from+interval(t.ttl))
	g.earliest = min(g.earliest, e.deadline)
	r.wake(min(g.due, g.earliest))
}

// extend notes a later deadline. slot.mu is held.
func (r *register) extend(t *ticket) {
	r.mu.Lock()
	t.entry.deadline = t.deadline()
	r.mu.Unlock()
}

// pause stops renewing a ticket that stays known. slot.mu is held.
func (r *register) pause(t *ticket) {
	r.mu.Lock()
	r.remove(t)
	r.mu.Unlock()
}

// forget drops a ticket altogether. slot.mu is held.
func (r *register) forget(t *ticket) {
	r.mu.Lock()
	r.remove(t)
	delete(r.known, t.id)
	r.mu.Unlock()
}

// hurry renews the group of a ticket at once. slot.mu is held.
func (r *register) hurry(t *ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := t.entry.group; g != nil {
		g.due = 0
		r.wake(0)
	}
}

// remove takes a ticket out of its group. mu is held.
func (r *register) remove(t *ticket) {
	g := t.entry.group
	if g == nil {
		return
	}
	last := len(g.tickets) - 1
	moved := g.tickets[last]
	g.tickets[t.entry.index] = moved
	moved.entry.index = t.entry.index
	g.tickets[last] = nil
	g.tickets = g.tickets[:last]
	t.entry.group = nil
}

// wake sees to it that the goroutine looks at time at. mu is held.
func (r *register) wake(at time.Duration) {
	if at >= r.wakeAt || r.stopped {
		return
	}
	r.wakeAt = at
	if !r.started {
		r.started = true
		go r.run()
		return
	}
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// stop ends the goroutine and waits for it.
func (r *register) stop() {
	r.mu.Lock()
	r.stopped = true
	started := r.started
	r.mu.Unlock()
	if started {
		select {
		case r.kick <- struct{}{}:
		default:
		}
		<-r.done
	}
}

func (r *register) run() {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.kick:
		}
		now := r.l.clock.SinceBoot()
		sleep, ok := r.look(now)
		if !ok {
			return
		}
		// With nothing to wait for there is no timer either: a kick wakes it.
		timer.Stop()
		if sleep != never {
			timer.Reset(sleep)
		}
	}
}

// look renews what is due, ends what is over, and says when to look again.
func (r *register) look(now time.Duration) (sleep time.Duration, ok bool) {
	var due []*group
	var over []*ticket
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return 0, false
	}
	next := never
	busy := false
	for ttl, g := range r.groups {
		if len(g.tickets) == 0 {
			delete(r.groups, ttl)
			continue
		}
		busy = true
		if now >= g.due {
			due = append(due, g)
			// Until it is answered, which moves this: a renewal that was lost
			// without a sign must not cost a third of the TTL.
			g.due = now + ttl/12
		}
		if now >= g.earliest {
			g.earliest = never
			for _, t := range g.tickets {
				if now >= t.entry.deadline {
					over = append(over, t)
				} else {
					g.earliest = min(g.earliest, t.entry.deadline)
				}
			}
		}
		next = min(next, g.due, g.earliest)
	}
	r.wakeAt = next
	r.mu.Unlock()

	// Ended first: telling a holder must not wait for anything.
	for _, t := range over {
		t.slot.mu.Lock()
		t.overdue(r.l.clock.SinceBoot())
		t.slot.mu.Unlock()
	}
	for _, g := range due {
		if r.l.gate.enter() {
			go func() {
				defer r.l.gate.leave()
				r.l.sendRenewal(g)
			}()
		}
	}
	if next == never {
		return never, true
	}
	sleep = next - now
	if busy && r.l.clock.Suspends {
		sleep = min(sleep, watchdog)
	}
	return max(sleep, 0), true
}

// overdue ends a hold whose deadline has passed. A waiting ticket may have died
// on the server: its head asks. mu is held.
func (t *ticket) overdue(now time.Duration) {
	switch {
	case now < t.deadline():
		// Renewed meanwhile: its entry is brought up to date.
		if t.state == stateHeld || t.state == stateQueued {
			t.slot.l.register.renew(t)
		}
	case t.state == stateQueued:
		t.slot.l.register.pause(t)
		t.ask = true
		t.notify()
	default:
		t.expired(now)
	}
}

// interval is the time between two renewals: a third of the TTL, a tenth of it
// earlier at random so that clients do not march in step.
func interval(ttl time.Duration) time.Duration {
	third := ttl / 3
	return third - rand.N(third/10+1)
}
