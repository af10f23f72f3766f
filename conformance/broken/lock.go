package broken

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

// A lock is one level.
type lock struct {
	t     *tenure
	token uint64
	ttl   time.Duration
	done  chan struct{}

	oldest bool // of its tenure

	mu     sync.Mutex // guards all below
	closed bool
	err    error
	ended  time.Time
	flight chan struct{} // of a Release that flawed code shares; closed when it is over
	shared error         // what it said
}

func (l *lock) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err, l.ended = err, time.Now()
	}
	if l.staysOpen(err) {
		return
	}
	if !l.closed || l.t.c.flaw.closesTwice {
		l.closed = true
		close(l.done)
	}
}

func (l *lock) Name() string  { return l.t.name }
func (l *lock) Owner() string { return l.t.owner }
func (l *lock) Token() uint64 {
	if l.t.c.flaw.tokenMoves {
		l.t.mu.Lock()
		defer l.t.mu.Unlock()
		return l.t.token
	}
	return l.token
}
func (l *lock) TTL() time.Duration { return l.ttl }

func (l *lock) Deadline() time.Time {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	deadline := l.t.deadline
	if l.t.c.flaw.deadlineStays {
		deadline = l.t.first
	}
	return time.Now().Add(deadline - l.t.c.sinceBoot())
}

func (l *lock) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && (l.t.c.flaw.freshDone || l.stale()) {
		return make(chan struct{})
	}
	return l.done
}

func (l *lock) Err() error {
	flaw := l.t.c.flaw
	if trusts := flaw.trustsTimers || flaw.looksAfterSleep && l.t.c.slept.Load() == 0; !trusts {
		l.t.expired()
	}
	over := flaw.deadlineOutlives && l.t.c.sinceBoot() >= l.t.until()
	l.mu.Lock()
	defer l.mu.Unlock()
	if over && errors.Is(l.err, locker.ErrReleased) {
		return &locker.LostError{Name: l.t.name, Token: l.t.token, Reason: locker.LostExpired, At: time.Now()}
	}
	return l.err
}

// Release ends this level, and frees the name with the last one.
func (l *lock) Release(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: the context is nil", locker.ErrInvalid)
	}
	if l.t.c.flaw.sharesRelease {
		return l.releaseTogether(ctx)
	}
	return l.release(ctx)
}

func (l *lock) release(ctx context.Context) error {
	f, t := l.t.c.flaw, l.t
	if f.releaseNeedsCtx && ctx.Err() != nil {
		return ctx.Err()
	}
	if err := l.Err(); err != nil {
		return l.again(err)
	}
	t.mu.Lock()
	ended := t.over != nil
	if !ended {
		t.count--
		for i, other := range t.levels {
			if other == l {
				t.levels = append(t.levels[:i:i], t.levels[i+1:]...)
				break
			}
		}
		l.end(locker.ErrReleased)
	}
	last := t.count <= 0 || f.firstFreesAll
	if last && !f.renewsOn && !ended {
		t.hush()
	}
	t.mu.Unlock()
	switch {
	case ended:
		return l.again(l.Err())
	case !last:
		if f.oldestFrees && l.oldest {
			return t.give(ctx)
		}
		return nil
	}
	err := t.free(ctx)
	if f.zombie {
		t.haunt()
	}
	if f.releaseSaysLost {
		return &locker.LostError{Name: t.name, Reason: locker.LostExpired}
	}
	return err
}

// again answers a Release of a level that is over.
func (l *lock) again(err error) error {
	f, t := l.t.c.flaw, l.t
	if said, narrowly := l.narrowly(err); said {
		return narrowly
	}
	if f.closesTwice && errors.Is(err, locker.ErrLost) {
		l.end(err)
	}
	if f.errChanges {
		l.mu.Lock()
		l.err = locker.ErrReleased
		l.mu.Unlock()
		return err
	}
	if f.releasesByName || f.releasesByClient || f.releasesByPrefix || f.secondIsSent {
		_ = t.free(context.Background())
	}
	if f.retriesByClient && t.unanswered.Load() {
		_ = t.c.rpc(context.Background(), t.ttl, scriptRelease, func(s *server) { s.release(t.c.prefix+t.name, t.claim.id, t.c.id, t.c.cfg.Identity) })
	}
	if f.secondIsSilent {
		return nil
	}
	return err
}

// free removes the claim: at once, or in the background if that is not
// answered.
func (t *tenure) free(ctx context.Context) error {
	f := t.c.flaw
	if !f.renewsOn {
		t.c.forget(t)
	}
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	found := false
	if f.releasesLater && !t.tried && t.c.rpc(ctx, t.ttl/3+1, scriptInspect, func(s *server) { found = s.has(t.c.prefix+t.name, t.claim.id) }) == nil && found {
		t.c.releaseLater(t)
		return nil
	}
	err := t.c.rpc(ctx, t.ttl/3+1, scriptRelease, func(s *server) { found = s.release(t.c.prefix+t.name, t.claim.id, t.c.id, t.c.cfg.Identity) })
	if err != nil {
		t.unanswered.Store(true)
		if f.resumesRenewal {
			_ = t.c.rpc(ctx, t.ttl, scriptRenew, func(s *server) { s.renew(t.c.prefix+t.name, t.claim.id, t.ttl) })
			t.c.work.Go(func() { t.c.haunt(t.name, t.claim) })
			return err
		}
		t.c.undo(t.name, t.claim)
		return fmt.Errorf("%w: the release was not answered", locker.ErrUnavailable)
	}
	if !found && (f.lostSaysNil || t.given.Load()) {
		return nil
	}
	if !found && (!f.releasesByName || f.tellsLost) {
		return &locker.LostError{Name: t.name, Token: t.token, Reason: locker.LostEvicted, At: time.Now()}
	}
	return nil
}
