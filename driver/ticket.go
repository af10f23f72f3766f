package driver

import (
	"context"
	"log/slog"
	"time"

	"github.com/lockerlib/locker"
)

// ticketState says where a ticket stands, as far as this client knows.
type ticketState int

const (
	stateAsking ticketState = iota // a Claim is outstanding, or was not answered
	stateQueued                    // the server said that it waits
	stateHeld                      // a hold with live levels
	stateEnding                    // the last level was released; nothing renews it
	stateEnded                     // released or lost
)

// A ticket is one claim of this client on the server, from the first Claim to
// its end: first it waits, then it is a hold. Guarded by slot.mu unless said
// otherwise.
type ticket struct {
	slot *slot
	id   string

	state    ticketState
	tenure   uint64        // set with the grant
	ttl      time.Duration // as granted
	owner    string
	metadata string
	asked    time.Duration // the TTL that was asked for

	from     time.Duration // the lease counts from here; the latest answered
	answered time.Duration // when the server last answered about it
	lastErr  error         // the last failure to reach the server since then
	holder   locker.Holder // who was in the way, in the last answer
	waiters  int
	recheck  bool // the last answer asked to be asked again

	// uncertain: a Claim was not answered, and may still be on its way.
	uncertain bool

	// What was pushed while the head was not looking.
	wake chan struct{} // one token: look again
	// interrupt ends a Claim that is under way; nil if none is, or if that was
	// done.
	interrupt func()
	pushed    uint64 // tenure of a pushed grant
	gone      bool
	ask       bool

	levels []*Lock
	lost   *locker.LostError

	// Release of the hold on the server; see Lock.Release.
	last       *Lock         // the level whose Release was the last one
	releasing  chan struct{} // closed when the attempt under way has ended; nil if none
	unanswered bool          // an attempt was not answered: the claim may be gone because of it
	settled    bool          // an attempt was answered
	owed       bool          // the caller last got an error, and may call again

	entry entry // guarded by register.mu
}

func (s *slot) newTicket(req *locker.Request) *ticket {
	t := &ticket{slot: s, id: s.l.newID(), wake: make(chan struct{}, 1)}
	t.describe(req)
	s.l.register.know(t)
	return t
}

// describe makes the ticket that of req.
func (t *ticket) describe(req *locker.Request) {
	t.owner, t.metadata, t.asked = req.Owner, req.Metadata, req.TTL
}

func (t *ticket) describes(req *locker.Request) bool {
	return t.owner == req.Owner && t.metadata == req.Metadata && t.asked == req.TTL
}

// grantPushed reports whether a push that counts says that the claim holds. A
// push may be older than the last answer: the hold that it tells of has ended,
// and the claim queued up again under its ID. Tenures only grow, so such a push
// has one that is no greater than that of the holder in that answer. mu is held.
func (t *ticket) grantPushed() bool { return t.pushed > Tenure(t.holder.Token) }

// notify makes the head look again. A Claim of its that is under way has a
// moment for its answer, which says as much; one that hangs must not keep a
// pushed grant from being taken. mu is held.
func (t *ticket) notify() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
	if t.interrupt == nil {
		return
	}
	sends := t.slot.sends
	time.AfterFunc(interruptGrace, func() {
		t.slot.mu.Lock()
		defer t.slot.mu.Unlock()
		if t.interrupt != nil && t.slot.sends == sends {
			t.interrupt()
			t.interrupt = nil
		}
	})
}

func (t *ticket) ref() Ref {
	return Ref{ID: t.id, Name: t.slot.name, TTL: t.ttl, Tenure: t.tenure}
}

// deadline is when the lease has certainly not ended yet at the server, if the
// clocks run at the same rate within one percent.
func (t *ticket) deadline() time.Duration { return t.from + t.ttl - t.ttl/100 }

// asHolder describes the hold of this client to a local rival.
func (t *ticket) asHolder(now time.Duration) locker.Holder {
	return locker.Holder{
		Client:    t.slot.l.cfg.Identity,
		Owner:     t.owner,
		Metadata:  t.metadata,
		Token:     Token(t.tenure),
		Remaining: max(t.deadline()-now, 0),
	}
}

// confirm takes in an answer of the server to a request that was sent at sent.
// Answers may come out of order; an older one changes nothing. mu is held.
func (t *ticket) confirm(sent, now time.Duration) {
	t.from = max(t.from, sent)
	t.answered = now
	t.lastErr = nil
}

// expired ends a hold whose deadline has passed, and reports whether it is lost.
// mu is held.
func (t *ticket) expired(now time.Duration) bool {
	if t.state == stateHeld && now >= t.deadline() {
		t.lose(locker.LostExpired, t.lastErr)
	}
	return t.lost != nil
}

// lose ends a hold without Release: every level is told before the slot goes to
// the next attempt. The first cause is final. mu is held.
func (t *ticket) lose(reason locker.LostReason, cause error) {
	if t.state != stateHeld {
		return
	}
	s, l := t.slot, t.slot.l
	t.state = stateEnded
	t.lost = &locker.LostError{
		Name: s.name, Token: Token(t.tenure), Reason: reason, At: l.clock.Now(), Err: cause,
	}
	for _, lk := range t.levels {
		lk.end(t.lost)
	}
	t.levels = nil
	if reason != locker.LostClosed {
		// The server may have the claim a little longer, or for a whole TTL if
		// it took a renewal whose answer was lost; and the news that it is gone
		// may be older than a Claim that brought it back.
		l.drop(t)
	} else {
		l.register.forget(t) // Close frees it when all are told
	}
	t.report(reason)
	s.cur = nil
	s.promote()
	s.leave()
}

// report logs and traces a loss from a goroutine of its own: mu is held here,
// and hooks are other people's code.
func (t *ticket) report(reason locker.LostReason) {
	l, lost := t.slot.l, t.lost
	level := slog.LevelWarn
	if reason == locker.LostClosed {
		level = slog.LevelInfo
	}
	hook := l.cfg.Trace.Lost
	l.gate.fork()
	go func() {
		defer l.gate.leave()
		l.cfg.Logger.LogAttrs(context.Background(), level, "lock lost",
			slog.String("name", lost.Name), slog.Uint64("token", lost.Token),
			slog.String("reason", reason.String()), slog.Any("error", lost.Err))
		if hook != nil {
			hook(lost)
		}
	}()
}
