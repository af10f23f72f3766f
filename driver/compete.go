package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

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
