package broken

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
)

// past is what narrow flaws want to know of a hold.
type past struct {
	first    time.Duration // the first deadline
	tried    bool          // by TryAcquire
	renewals atomic.Int64  // how many were begun
	failed   atomic.Int64  // how many of them
	flying   atomic.Int64  // how many are under way
	given    atomic.Bool   // the name was freed by something else than its last release
}

// spent counts renewals, and reports whether there are to be no more.
func (t *tenure) spent() bool {
	n := t.renewals.Add(1)
	return t.c.flaw.renewalsAtMost > 0 && n > int64(t.c.flaw.renewalsAtMost)
}

func (t *tenure) failedTwice() bool { return t.failed.Add(1) > 1 && t.c.flaw.failuresAddUp }

// hopes reports whether the hold outlives its deadline for the sake of a
// renewal whose answer may yet come.
func (t *tenure) hopes() bool {
	return t.c.flaw.adoptsFlying && t.flying.Load() > 0 && !t.c.link.blocked(conformance.Both) && !t.c.server.offline() && !t.c.link.stalls()
}

// stalls reports whether the client reads nothing.
func (l *link) stalls() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn.stalled != nil
}

// haunt renews whoever holds the name, for as long as the client is open.
func (t *tenure) haunt() {
	if t.renewals.Load() == 0 {
		return
	}
	t.c.work.Go(func() {
		for wait(t.c.ctx, nil, t.ttl/3) == nil {
			_ = t.c.rpc(t.c.ctx, t.ttl, scriptRenew, func(s *server) { s.renewHolder(t.c.prefix + t.name) })
		}
	})
}

// cleanUp removes another client's hold of the name, long after this one was
// lost.
func (t *tenure) cleanUp() {
	t.c.work.Go(func() {
		if wait(t.c.ctx, nil, t.ttl*8/5) == nil {
			t.c.server.removeHolder(t.c.prefix+t.name, func(client string) bool { return client != t.c.id })
		}
	})
}

// give has the server free the name, while levels are left.
func (t *tenure) give(ctx context.Context) error {
	t.given.Store(true)
	return t.c.rpc(context.WithoutCancel(ctx), t.ttl/3+1, scriptRelease, func(s *server) {
		s.release(t.c.prefix+t.name, t.claim.id, t.c.id, t.c.cfg.Identity)
	})
}

// staysOpen reports whether Done is not closed by the end of the level. mu is
// held.
func (l *lock) staysOpen(err error) bool {
	return l.t.c.flaw.doneStaysOpen && l.t.owner == "" && errors.Is(err, locker.ErrReleased)
}

// endUntold ends the level without closing Done.
func (l *lock) endUntold(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err, l.ended = err, time.Now()
	}
}

// stale reports whether Done is to be a new channel, because the loss was long
// ago. mu is held.
func (l *lock) stale() bool {
	return l.t.c.flaw.freshDoneLater && errors.Is(l.err, locker.ErrLost) && time.Since(l.ended) >= l.t.ttl/2
}

// releaseTogether has those who release while another one does wait for what
// that one is told.
func (l *lock) releaseTogether(ctx context.Context) error {
	l.mu.Lock()
	if flight := l.flight; flight != nil {
		l.mu.Unlock()
		<-flight
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.shared
	}
	flight := make(chan struct{})
	l.flight = flight
	l.mu.Unlock()
	_ = wait(context.Background(), nil, time.Microsecond)
	err := l.release(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shared, l.flight = err, nil
	close(flight)
	return err
}

// narrowly is what narrow flaws do when a level is released that is over, and
// whether and what they say.
func (l *lock) narrowly(over error) (said bool, err error) {
	f, t := l.t.c.flaw, l.t
	name, lost := t.c.prefix+t.name, errors.Is(over, locker.ErrLost)
	switch {
	case f.seesSuccessor && !lost:
		if other := t.c.server.holder(name); other != "" && other != t.c.id {
			return true, nil
		}
	case f.freesOwn && lost && t.owner == "":
		t.c.server.removeHolder(name, func(client string) bool { return client == t.c.id })
	case f.retrySaysLost && !lost && t.unanswered.Load():
		return true, &locker.LostError{Name: t.name, Token: t.token, Reason: locker.LostEvicted, At: time.Now()}
	case f.lostAsksFirst && lost:
		_ = t.give(context.Background())
	}
	return false, nil
}
