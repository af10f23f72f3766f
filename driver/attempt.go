package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// compete claims the name on the server. The caller is the head of its slot;
// when compete returns, the slot has a hold or its next head.
func (a *attempt) compete() (*Lock, error) {
	s := a.slot
	a.heard = a.l.clock.SinceBoot()
	s.mu.Lock()
	t := s.cur
	inherited := t != nil
	if t == nil {
		t = s.newTicket(&a.req)
		s.cur = t
	}
	// A backend that must be asked again now and then is asked now: when, only
	// the attempt knew that leaves.
	waitFirst := inherited && t.describes(&a.req) && !t.recheck && a.l.pushes
	t.describe(&a.req)
	s.mu.Unlock()

	for {
		var again bool
		var lock *Lock
		var err error
		if waitFirst {
			lock, again, err = a.await(t, 0)
		} else {
			lock, again, err = a.claim(t)
		}
		waitFirst = false
		if !again {
			return lock, err
		}
		s.mu.Lock()
		if t.gone {
			// The server dropped the claim: its lease ran out, or somebody broke
			// it. A waiter rejoins at once, under a new ID, for answers about
			// the old one may still be under way. That news may itself be older
			// than the last Claim of the old ID, so the old one is undone.
			t.uncertain = true
			a.heard = max(a.heard, t.answered)
			a.l.drop(t)
			t = s.newTicket(&a.req)
			s.cur = t
		}
		s.mu.Unlock()
	}
}

// claim sends one Claim and follows its answer. again says that the caller
// should look at t.gone and come back.
func (a *attempt) claim(t *ticket) (lock *Lock, again bool, err error) {
	s, l := a.slot, a.l
	req := Claim{
		ID: t.id, Name: s.name, TTL: a.req.TTL, Client: l.cfg.Identity,
		Owner: a.req.Owner, Metadata: a.req.Metadata, Try: a.try,
	}
	s.mu.Lock()
	s.sends++
	send := s.sends
	t.ask = false
	s.mu.Unlock()

	rctx, cancel := l.requestContext(a.ctx, l.closing, a.requestBound(t))
	s.mu.Lock()
	t.interrupt = cancel
	s.mu.Unlock()
	sent := l.clock.SinceBoot()
	ans, err := l.backend.Claim(rctx, req)
	now := l.clock.SinceBoot()
	if err == nil && ans.State == Held && (ans.Tenure == 0 || ans.Tenure > MaxTenure) {
		err = fmt.Errorf("the backend granted it with a tenure of %d, which is out of range", ans.Tenure)
	} else if err != nil && rctx.Err() != nil {
		err = unavailable(s.name, err) // it was not the backend that gave up
	}
	cancel()
	if err != nil {
		return a.unanswered(t, err, now)
	}
	a.heard = now

	s.mu.Lock()
	t.interrupt = nil
	if ans.From != 0 {
		sent = ans.From
	}
	if ttl := cmp.Or(ans.TTL, t.ttl, a.req.TTL); ttl != t.ttl {
		// What was answered so far was about a lease of another length.
		t.ttl, t.from = ttl, 0
	}
	if ans.State != Gone {
		a.failures = 0
	}
	switch ans.State {
	case Held:
		t.confirm(sent, now)
		t.tenure = ans.Tenure
		return a.granted(t, now, false)
	case Queued:
		t.confirm(sent, now)
		t.state, t.recheck = stateQueued, ans.Recheck > 0
		t.holder, t.waiters = ans.Holder, ans.Waiters
		s.refuseTries(everySend, s.heldError(ans.Holder))
		s.refuseImpatient(s.heldError(ans.Holder))
		l.register.renew(t)
		s.mu.Unlock()
		a.traceWaiting(ans.Holder)
		return a.await(t, a.recheck(ans, t))
	case Refused:
		if undone := s.undone; a.try && undone != nil && !a.retried {
			// Perhaps by what this client is about to take back.
			a.retried = true
			s.mu.Unlock()
			if err := a.waitFor(undone, undoPatience); err != nil {
				lock, err = a.abandon(t, err)
				return lock, false, err
			}
			return nil, true, nil
		}
		// Nothing was written. The tries that were here before this one was
		// sent are answered by it; a younger one must ask for itself.
		t.state = stateEnded
		l.register.forget(t)
		err := &locker.HeldError{Name: s.name, Holder: ans.Holder, Waiters: ans.Waiters}
		s.cur, s.head = nil, nil
		s.refuseTries(send, err)
		s.promote()
		s.mu.Unlock()
		return nil, false, err
	default: // Gone
		t.gone = true
		s.mu.Unlock()
		a.failures++
		if a.try && now-a.began >= requestTimeout {
			lock, err = a.abandon(t, fmt.Errorf("%w: %q: the server drops every claim", locker.ErrUnavailable, s.name))
			return lock, false, err
		}
		if err := a.pause(); err != nil {
			lock, err = a.abandon(t, err)
			return lock, false, err
		}
		return nil, true, nil
	}
}

// unanswered deals with a Claim that failed: the server may carry it out or not.
func (a *attempt) unanswered(t *ticket, err error, now time.Duration) (*Lock, bool, error) {
	s, l := a.slot, a.l
	s.mu.Lock()
	t.uncertain, t.lastErr = true, err
	silence := now - max(t.answered, a.heard)
	interrupted := t.interrupt == nil
	t.interrupt = nil
	s.mu.Unlock()

	canRetry := errors.Is(err, locker.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case interrupted && canRetry && a.ctx.Err() == nil && l.closing.Err() == nil:
		return nil, true, nil // something was pushed
	case ended(a.ctx):
		err = contextError(a.ctx, s.name)
	case l.closing.Err() != nil:
		err = closedError(s.name)
	case !canRetry:
		err = fmt.Errorf("locker: %q: %w", s.name, err)
	case a.try || silence >= a.silenceLimit() || a.req.HasMaxWait && now-a.began >= a.req.MaxWait:
		err = unavailable(s.name, err)
	default:
		a.failures++
		if err = a.pause(); err == nil {
			return nil, true, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.state == stateQueued && !t.gone && l.closing.Err() == nil && s.bequeath(t) {
		// It has a place in the queue, only its last poll was not answered.
		t.recheck = true
		return nil, false, err
	}
	s.cur, s.head = nil, nil
	l.drop(t)
	s.promote()
	return nil, false, err
}

// granted makes the Lock of a ticket that holds. mu is held, and released.
//
// A grant whose validity is used up is not returned. If it was pushed, the
// server is asked: its answer tells how things stand now. If it was the answer
// itself that came too late, the hold is undone.
func (a *attempt) granted(t *ticket, now time.Duration, pushed bool) (lock *Lock, again bool, err error) {
	s, l := a.slot, a.l
	switch {
	case l.closing.Err() != nil:
		// Close has been here, or will wait for mu: the hold must not begin.
		err = closedError(s.name)
		s.cur, s.head = nil, nil
		l.drop(t)
		s.mu.Unlock()
		return nil, false, err
	case t.gone: // pushed while the answer was under way
		s.mu.Unlock()
		return nil, true, nil
	case now >= t.deadline() && pushed:
		t.pushed = 0
		s.mu.Unlock()
		return nil, true, nil
	case now >= t.deadline():
		err = fmt.Errorf("%w: %q was granted, but the answer took longer than the TTL of %v, so the grant was given back",
			locker.ErrUnavailable, s.name, t.ttl)
		s.cur, s.head = nil, nil
		l.drop(t)
		s.promote()
		s.mu.Unlock()
		return nil, false, err
	}
	t.describe(&a.req)
	t.state = stateHeld
	t.holder, t.waiters = locker.Holder{}, 0
	s.head = nil
	l.register.renew(t)
	lock = t.addLevel()
	lock.reentered = false
	s.admit(t)
	if len(s.queue) > 0 {
		s.refuseTries(everySend, s.heldError(t.asHolder(now)))
		s.refuseImpatient(s.heldError(t.asHolder(now)))
	}
	s.mu.Unlock()
	return lock, false, nil
}

// await waits for what becomes of a queued ticket.
func (a *attempt) await(t *ticket, recheck time.Duration) (lock *Lock, again bool, err error) {
	s, l := a.slot, a.l
	var tick <-chan time.Time
	if recheck > 0 {
		timer := time.NewTimer(recheck)
		defer timer.Stop()
		tick = timer.C
	}
	patience := a.patience
	if a.req.HasMaxWait && a.req.MaxWait == 0 {
		over := make(chan time.Time)
		close(over)
		patience = over
	}
	for {
		s.mu.Lock()
		switch {
		case t.gone, t.ask:
			s.mu.Unlock()
			return nil, true, nil
		case t.pushed != 0:
			t.tenure = t.pushed
			return a.granted(t, l.clock.SinceBoot(), true)
		}
		s.mu.Unlock()
		select {
		case <-t.wake:
			continue
		case <-tick:
			return nil, true, nil
		case <-a.ctx.Done():
			err = contextError(a.ctx, s.name)
		case <-l.closing.Done():
			err = closedError(s.name)
		case <-patience:
			s.mu.Lock()
			err = s.patienceError(l.clock.SinceBoot())
			s.mu.Unlock()
		}
		lock, err = a.abandon(t, err)
		return lock, false, err
	}
}

// abandon gives a queued ticket up: to a grant that came at the same moment,
// for cancelling loses no grant; else to the next of the local queue, which
// keeps the place; else the server is told.
func (a *attempt) abandon(t *ticket, why error) (*Lock, error) {
	s, l := a.slot, a.l
	s.mu.Lock()
	if t.pushed != 0 && !t.gone && l.closing.Err() == nil && t.describes(&a.req) {
		t.tenure = t.pushed
		if now := l.clock.SinceBoot(); now < t.deadline() {
			lock, _, err := a.granted(t, now, true)
			return lock, err
		}
	}
	defer s.mu.Unlock()
	if l.closing.Err() == nil && t.state == stateQueued && !t.gone && s.bequeath(t) {
		return nil, why
	}
	s.cur, s.head = nil, nil
	l.drop(t)
	s.promote()
	return nil, why
}

// pause waits before a claim is repeated after a failure.
func (a *attempt) pause() error {
	d := min(20*time.Millisecond<<min(a.failures, 6), time.Second)
	d = d/2 + rand.N(d/2)
	return a.waitFor(nil, d)
}

// waitFor waits until c is closed or d has passed, or says why it must not.
func (a *attempt) waitFor(c <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return nil
	case <-timer.C:
		return nil
	case <-a.ctx.Done():
		return contextError(a.ctx, a.req.Name)
	case <-a.l.closing.Done():
		return closedError(a.req.Name)
	case <-a.patience:
		a.slot.mu.Lock()
		defer a.slot.mu.Unlock()
		return a.slot.patienceError(a.l.clock.SinceBoot())
	}
}

// requestBound is how long one claim may take. The answer to a waiter's claim is
// worthless after a TTL, and a packet may be lost that nobody reports: then it
// asks again. A server that says nothing is given a second more than the
// patience of the caller, so that a patience of 0 gets its one answer.
func (a *attempt) requestBound(t *ticket) time.Duration {
	now := a.l.clock.SinceBoot()
	if a.try {
		return max(requestTimeout-(now-a.began), minRequestBound)
	}
	bound := min(max(a.req.TTL, t.ttl, minRequestBound), requestTimeout)
	bound = min(bound, max(a.silenceLimit()-(now-a.heard), minRequestBound))
	if a.req.HasMaxWait {
		left := a.req.MaxWait - (now - a.began)
		bound = min(bound, max(left, time.Second))
	}
	return bound
}

// silenceLimit is how long the server may say nothing before Acquire gives up.
func (a *attempt) silenceLimit() time.Duration { return max(a.req.TTL, silenceFloor) }

// recheck is when a queued claim is repeated though nothing was pushed: when
// the backend says so, and by polling where the backend does not push. A poll
// every eighth of the TTL keeps the ticket alive as well.
func (a *attempt) recheck(ans Answer, t *ticket) time.Duration {
	d := ans.Recheck
	if d == 0 && !a.l.pushes {
		d = min(t.ttl/8, 250*time.Millisecond)
	}
	if d == 0 {
		return 0
	}
	return d + rand.N(d/8+1)
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
