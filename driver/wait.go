package driver

import (
	"math/rand/v2"
	"time"
)

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
		case t.grantPushed():
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
	if t.grantPushed() && !t.gone && l.closing.Err() == nil && t.describes(&a.req) {
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
	if ans.Recheck > 0 || a.l.pushes {
		return ans.Recheck
	}
	d := min(t.ttl/8, 250*time.Millisecond)
	return d + rand.N(d/8+1)
}
