package driver

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

const slotShards = 64

type slotShard struct {
	mu    sync.Mutex
	slots map[string]*slot
}

var slotSeed = maphash.MakeSeed()

// A slot is everything that one Locker knows about one name: the claim that it
// has on the server, and the local queue behind it. A slot lives while a call
// or a hold refers to it.
type slot struct {
	l     *Locker
	name  string
	shard *slotShard
	refs  int // guarded by shard.mu

	// mu guards all below, and all of the tickets and Locks of this name. It
	// is never held while the backend is called or a hook runs. Lock order: mu
	// before register.mu.
	mu sync.Mutex
	// cur is the claim that competes for the name, holds it, or is being
	// released; nil if there is none.
	cur *ticket
	// head is the attempt that drives cur until it holds.
	head *attempt
	// queue holds the attempts behind them, first come first served.
	queue []*attempt
	// sends counts the claims that heads have sent, so that an attempt knows
	// which answers are younger than itself.
	sends uint64
	// undoing counts the claims that are being undone; undone is closed when
	// none is any more, and nil if there is none.
	undoing int
	undone  chan struct{}
}

// enter finds or makes the slot of name, and refers to it.
func (l *Locker) enter(name string) *slot {
	sh := &l.shards[maphash.String(slotSeed, name)%slotShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.slots[name]
	if s == nil {
		if sh.slots == nil {
			sh.slots = make(map[string]*slot)
		}
		s = &slot{l: l, name: name, shard: sh}
		sh.slots[name] = s
	}
	s.refs++
	return s
}

// leave gives the reference of enter back.
func (s *slot) leave() {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if s.refs--; s.refs == 0 {
		delete(s.shard.slots, s.name)
	}
}

// retain refers to the slot once more, by somebody who refers to it.
func (s *slot) retain() {
	s.shard.mu.Lock()
	s.refs++
	s.shard.mu.Unlock()
}

// slots returns those that exist at the moment.
func (l *Locker) slots() []*slot {
	var all []*slot
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for _, s := range sh.slots {
			all = append(all, s)
		}
		sh.mu.Unlock()
	}
	return all
}

// idle reports that nobody competes for the name here. mu is held.
func (s *slot) idle() bool { return s.cur == nil && s.head == nil }

// promote makes the first of the queue the head, if there is none. mu is held.
func (s *slot) promote() {
	if !s.idle() || len(s.queue) == 0 {
		return
	}
	a := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.head = a
	a.decide(decision{head: true})
}

// bequeath gives the waiting ticket of a head that leaves to the next attempt,
// which keeps its place on the server. It reports whether there was one. mu is
// held.
func (s *slot) bequeath(t *ticket) bool {
	if len(s.queue) == 0 {
		return false
	}
	s.cur, s.head = nil, nil
	s.promote()
	s.cur = t
	return true
}

// remove takes a out of the queue; false if it is not in there. mu is held.
func (s *slot) remove(a *attempt) bool {
	for i, q := range s.queue {
		if q == a {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return true
		}
	}
	return false
}

// refuseTries answers every queued try that began before send number before.
// A try never waits for another holder: it stands in the queue only while it is
// open whether there is one. mu is held.
func (s *slot) refuseTries(before uint64, err error) {
	kept := s.queue[:0]
	for _, a := range s.queue {
		if a.try && a.arrived < before {
			a.decide(decision{err: err})
		} else {
			kept = append(kept, a)
		}
	}
	clear(s.queue[len(kept):])
	s.queue = kept
}

const everySend = ^uint64(0)

// refuseImpatient answers every queued attempt that waits for one answer only,
// now that there is one: somebody has the name, or stands in its queue. mu is
// held.
func (s *slot) refuseImpatient(err error) {
	s.queue = slices.DeleteFunc(s.queue, func(a *attempt) bool {
		impatient := a.req.HasMaxWait && a.req.MaxWait == 0
		if impatient {
			a.decide(decision{err: err})
		}
		return impatient
	})
}

// admit lets every queued attempt of the owner of t enter with it: it would
// wait for its own owner otherwise. mu is held.
func (s *slot) admit(t *ticket) {
	if t.owner == "" {
		return
	}
	kept := s.queue[:0]
	for _, a := range s.queue {
		if a.req.Owner == t.owner {
			a.decide(decision{lock: t.addLevel()})
		} else {
			kept = append(kept, a)
		}
	}
	clear(s.queue[len(kept):])
	s.queue = kept
}

// taken tells a try why it is refused without asking the server, or nil if the
// server must be asked. mu is held.
func (s *slot) taken(now time.Duration) error {
	if t := s.cur; t != nil {
		switch t.state {
		case stateHeld:
			return s.heldError(t.asHolder(now))
		case stateQueued:
			return s.heldError(t.holder)
		}
	}
	for _, a := range s.queue {
		if !a.try {
			// Somebody stands in the queue, though only in the local one.
			return s.heldError(locker.Holder{})
		}
	}
	return nil
}

func (s *slot) heldError(h locker.Holder) *locker.HeldError {
	e := &locker.HeldError{Name: s.name, Holder: h}
	if s.cur != nil {
		e.Waiters = s.cur.waiters
	}
	return e
}

// patienceError is what an attempt gets whose patience has ended. mu is held.
func (s *slot) patienceError(now time.Duration) error {
	t := s.cur
	switch {
	case t != nil && (t.state == stateHeld || t.state == stateEnding):
		return s.heldError(t.asHolder(now))
	case t != nil && t.state == stateQueued && t.lastErr == nil:
		return s.heldError(t.holder)
	case t != nil && t.lastErr != nil:
		return unavailable(s.name, t.lastErr)
	}
	return fmt.Errorf("%w: %q: no answer yet", locker.ErrUnavailable, s.name)
}
