package driver

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockerlib/locker"
)

// batch lists what one renewal of a group renews.
func (r *register) batch(g *group) (tickets []*ticket, refs []Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tickets, refs = slices.Clone(g.tickets), make([]Ref, len(g.tickets))
	for i, t := range tickets {
		refs[i] = t.entry.ref
	}
	return tickets, refs
}

// sendRenewal renews one group in one batch. A batch is sent whether or not the
// one before was answered: answers that are late by half a TTL must not cost a
// hold.
func (l *Locker) sendRenewal(g *group) {
	ctx, cancel := l.requestContext(context.Background(), l.closing, g.ttl)
	defer cancel()
	tickets, refs := l.register.batch(g)
	if len(refs) == 0 {
		return
	}
	sent := l.clock.SinceBoot()
	answers, err := l.backend.Renew(ctx, refs)
	if err == nil && len(answers) != len(refs) {
		err = errShortAnswer
	}
	failed := false
	for i, t := range tickets {
		ans := Answer{State: Unknown, Err: err}
		if err == nil {
			ans = answers[i]
		}
		failed = failed || ans.State == Unknown
		t.renewed(ans, sent, g.ttl)
	}
	l.register.answered(g, failed)
	if err != nil && l.closing.Err() == nil {
		l.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a renewal failed, it is repeated until the deadline",
			slog.Int("claims", len(refs)), slog.Duration("ttl", g.ttl), slog.Any("error", err))
	}
}

// answered plans the next renewal of a group: a third of the TTL after the
// oldest request that one of its leases counts from, or soon after a failure.
func (r *register) answered(g *group, failed bool) {
	now := r.l.clock.SinceBoot()
	soon := g.ttl / 12
	r.mu.Lock()
	defer r.mu.Unlock()
	if failed {
		g.due = min(g.due, now+soon/2+rand.N(soon/2+1))
	} else {
		oldest := never
		for _, t := range g.tickets {
			oldest = min(oldest, t.entry.deadline)
		}
		if oldest == never {
			return
		}
		g.due = max(oldest-g.ttl+g.ttl/100+interval(g.ttl), now)
	}
	r.wake(g.due)
}

// renewed takes in the answer to a renewal with ttl that was sent at sent.
func (t *ticket) renewed(ans Answer, sent, ttl time.Duration) {
	s, l := t.slot, t.slot.l
	trace := l.cfg.Trace
	var hook func()
	s.mu.Lock()
	now := l.clock.SinceBoot()
	held := t.state == stateHeld && !t.expired(now)
	if ttl != t.ttl && (ans.State == Held || ans.State == Queued) {
		sent = 0 // it tells nothing of a lease that has another length by now
	}
	switch {
	case !held && t.state != stateQueued:
		// Released, lost or asked for anew since: the answer is about the past.
	case ans.State == Unknown:
		if ans.Err == nil {
			ans.Err = locker.ErrUnavailable
		}
		if sent > t.from {
			t.lastErr = ans.Err
		}
		if f := trace.RenewFailed; f != nil && held {
			hook = func() { f(s.name, Token(t.tenure), ans.Err) }
		}
	case ans.State == Held && held && ans.Tenure == t.tenure:
		t.confirm(sent, now)
		l.register.extend(t)
		if f := trace.Renewed; f != nil {
			deadline := l.clock.Now().Add(t.deadline() - now)
			hook = func() { f(s.name, Token(t.tenure), deadline) }
		}
	case ans.State == Held && !held:
		t.confirm(sent, now)
		t.pushed = max(t.pushed, ans.Tenure)
		l.register.extend(t)
		t.notify()
	case ans.State == Queued:
		// A hold never goes back to waiting: if it holds by now, the grant was
		// pushed while this answer was on its way.
		t.confirm(sent, now)
		l.register.extend(t)
	case sent > t.from || ans.Reason != 0:
		// Gone, or held under another tenure. Unless a younger request was
		// answered since: then this one is about the past.
		t.isGone(ans.Reason, ans.Err)
	}
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
}
