package driver

import (
	"context"
	"time"

	"github.com/lockerlib/locker"
)

// An attempt is one call of Acquire or TryAcquire, in the caller's goroutine.
// First it is in the local queue of its slot, unless nobody is there; then it
// is the head and competes on the server; then it has a Lock or an error.
type attempt struct {
	l     *Locker
	ctx   context.Context
	req   locker.Request
	try   bool
	began time.Duration
	slot  *slot

	// In the queue.
	arrived uint64        // slot.sends when it queued up
	decided chan decision // capacity 1; written once, under slot.mu

	// As head.
	patience <-chan time.Time // fires when MaxWait is over; nil: never
	stop     func()           // of the timer behind patience
	traced   bool             // Waiting was called
	heard    time.Duration    // when the server last answered, or the competition began
	failures int              // claims in a row that were not answered
	retried  bool             // a try was refused once while an undo was under way
}

// A decision is what happens to an attempt in the queue: exactly one of these.
type decision struct {
	head bool
	lock *Lock
	err  error
}

// decide tells a queued attempt what happened to it. slot.mu is held, and the
// attempt is not in the queue any more.
func (a *attempt) decide(d decision) { a.decided <- d }

func (a *attempt) run() (*Lock, error) {
	a.stop = func() {}
	limit, limited := a.req.MaxWait, a.req.HasMaxWait && !a.try
	if limited && limit > 0 {
		timer := time.NewTimer(limit)
		a.patience, a.stop = timer.C, func() { timer.Stop() }
	}
	defer func() { a.stop() }()

	s := a.l.enter(a.req.Name)
	a.slot = s
	lock, err := a.enterSlot()
	if err != nil || lock.reentered {
		// The hold has a reference of its own; a new hold takes over this one.
		s.leave()
	}
	if err != nil {
		return nil, err
	}
	a.traceAcquired(lock)
	return lock, nil
}

// enterSlot decides between re-entry, refusal, the local queue and being head.
func (a *attempt) enterSlot() (*Lock, error) {
	s := a.slot
	s.mu.Lock()
	if a.l.closing.Err() != nil {
		// Close has shut the gate after this call had entered.
		s.mu.Unlock()
		return nil, closedError(s.name)
	}
	now := a.l.clock.SinceBoot()
	if t := s.cur; t != nil && !t.expired(now) && t.state == stateHeld && t.owner != "" && t.owner == a.req.Owner {
		lock := t.addLevel()
		s.mu.Unlock()
		return lock, nil
	}
	if s.idle() && len(s.queue) == 0 {
		s.head = a
		s.mu.Unlock()
		return a.compete()
	}
	if a.try {
		if err := s.taken(now); err != nil {
			s.mu.Unlock()
			return nil, err
		}
	}
	a.arrived = s.sends
	a.decided = make(chan decision, 1)
	s.queue = append(s.queue, a)
	var holder locker.Holder
	if t := s.cur; t != nil && t.state == stateHeld {
		holder = t.asHolder(now)
	}
	s.mu.Unlock()
	if !a.try {
		a.traceWaiting(holder)
	}
	return a.waitInQueue()
}

func (a *attempt) waitInQueue() (*Lock, error) {
	patience := a.patience
	switch {
	case a.try:
		// It waits here for one answer of the server, nothing more.
		timer := time.NewTimer(requestTimeout)
		a.patience, a.stop = timer.C, func() { timer.Stop() }
		patience = timer.C
	case a.req.HasMaxWait && a.req.MaxWait == 0:
		// One answer only, and the local rival's counts as well.
		over := make(chan time.Time)
		close(over)
		patience = over
		a.slot.mu.Lock()
		if t := a.slot.cur; t == nil || t.state == stateAsking || t.state == stateEnding {
			timer := time.NewTimer(requestTimeout)
			a.patience, a.stop = timer.C, func() { timer.Stop() }
			patience = timer.C
		}
		a.slot.mu.Unlock()
	}
	var why func(now time.Duration) error
	select {
	case d := <-a.decided:
		return a.follow(d)
	case <-a.ctx.Done():
		why = func(time.Duration) error { return contextError(a.ctx, a.req.Name) }
	case <-patience:
		why = func(now time.Duration) error { return a.slot.patienceError(now) }
	case <-a.l.closing.Done():
		why = func(time.Duration) error { return closedError(a.req.Name) }
	}

	s := a.slot
	s.mu.Lock()
	if s.remove(a) {
		err := why(a.l.clock.SinceBoot())
		s.mu.Unlock()
		return nil, err
	}
	// It was decided at the same moment. A lock or a refusal is taken as it is.
	// A head that does not want to compete passes on what it was given.
	d := <-a.decided
	if !d.head {
		s.mu.Unlock()
		return a.follow(d)
	}
	err := why(a.l.clock.SinceBoot())
	t := s.cur
	s.mu.Unlock()
	if t != nil {
		return a.abandon(t, err)
	}
	a.stepDown()
	return nil, err
}

func (a *attempt) follow(d decision) (*Lock, error) {
	if d.head {
		return a.compete()
	}
	return d.lock, d.err
}

// stepDown leaves the place of the head to the next of the queue.
func (a *attempt) stepDown() {
	s := a.slot
	s.mu.Lock()
	s.head = nil
	s.promote()
	s.mu.Unlock()
}

func (a *attempt) traceWaiting(h locker.Holder) {
	if f := a.l.cfg.Trace.Waiting; f != nil && !a.traced {
		a.traced = true
		f(a.req.Name, h)
	}
}

func (a *attempt) traceAcquired(lock *Lock) {
	if f := a.l.cfg.Trace.Acquired; f != nil {
		f(locker.AcquiredInfo{
			Name: a.req.Name, Token: lock.Token(), TTL: lock.TTL(),
			Waited: a.l.clock.SinceBoot() - a.began, Reentered: lock.reentered,
		})
	}
}
