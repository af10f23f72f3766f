package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockerlib/locker"
)

// releaseGrace is for how long Release waits for the answer after its context
// has ended.
const releaseGrace = time.Second

// Lock is one level of a hold. The zero Lock is not usable; its methods report
// ErrInvalid or zero values.
type Lock struct {
	t         *ticket
	reentered bool

	// Guarded by t.slot.mu.
	err  error         // how this level ended, or nil
	done chan struct{} // made when somebody asks for it
	ends []*endFunc    // callbacks of AfterEnd
}

type endFunc struct{ f func(error) }

var (
	_ locker.Lock  = (*Lock)(nil)
	_ locker.Ender = (*Lock)(nil)
	_ Guarded      = (*Lock)(nil)

	errNoLock = fmt.Errorf("%w: the Lock is nil or was not made by a Locker", locker.ErrInvalid)

	closedChan = func() chan struct{} {
		c := make(chan struct{})
		close(c)
		return c
	}()
)

// addLevel enters the hold once more. mu is held.
func (t *ticket) addLevel() *Lock {
	lk := &Lock{t: t, reentered: len(t.levels) > 0}
	t.levels = append(t.levels, lk)
	return lk
}

// end closes this level for good; the first cause is final. mu is held.
func (lk *Lock) end(err error) {
	if lk.err != nil {
		return
	}
	lk.err = err
	if lk.done != nil {
		close(lk.done)
	}
	for _, e := range lk.ends {
		go e.f(err)
	}
	lk.ends = nil
}

func (lk *Lock) valid() bool { return lk != nil && lk.t != nil }

// Name implements locker.Lock.
func (lk *Lock) Name() string {
	if !lk.valid() {
		return ""
	}
	return lk.t.slot.name
}

// Owner implements locker.Lock.
func (lk *Lock) Owner() string {
	if !lk.valid() {
		return ""
	}
	return lk.t.owner // constant while there are levels
}

// Token implements locker.Lock.
func (lk *Lock) Token() uint64 {
	if !lk.valid() {
		return 0
	}
	return Token(lk.t.tenure) // constant while there are levels
}

// TTL implements locker.Lock.
func (lk *Lock) TTL() time.Duration {
	if !lk.valid() {
		return 0
	}
	return lk.t.ttl // constant while there are levels
}

// Deadline implements locker.Lock. It is a reading of the wall clock and, as
// every time.Time, of Go's monotonic clock.
func (lk *Lock) Deadline() time.Time {
	if !lk.valid() {
		return time.Time{}
	}
	lk.t.slot.mu.Lock()
	defer lk.t.slot.mu.Unlock()
	clock := lk.t.slot.l.clock
	left := lk.t.deadline() - clock.SinceBoot()
	return clock.Now().Add(left)
}

// Done implements locker.Lock.
func (lk *Lock) Done() <-chan struct{} {
	if !lk.valid() {
		return closedChan
	}
	lk.t.slot.mu.Lock()
	defer lk.t.slot.mu.Unlock()
	if lk.done == nil {
		if lk.err != nil {
			lk.done = closedChan
		} else {
			lk.done = make(chan struct{})
		}
	}
	return lk.done
}

// Err implements locker.Lock.
func (lk *Lock) Err() error {
	if !lk.valid() {
		return errNoLock
	}
	lk.t.slot.mu.Lock()
	defer lk.t.slot.mu.Unlock()
	if lk.err == nil {
		lk.t.expired(lk.t.slot.l.clock.SinceBoot())
	}
	return lk.err
}

// AfterEnd implements locker.Ender.
func (lk *Lock) AfterEnd(f func(error)) (stop func() bool) {
	if !lk.valid() {
		go f(errNoLock)
		return func() bool { return false }
	}
	e := &endFunc{f}
	mu := &lk.t.slot.mu
	mu.Lock()
	defer mu.Unlock()
	if lk.err != nil {
		go f(lk.err)
		return func() bool { return false }
	}
	lk.ends = append(lk.ends, e)
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		i := slices.Index(lk.ends, e)
		if i < 0 {
			return false
		}
		lk.ends = slices.Delete(lk.ends, i, i+1)
		return true
	}
}

// Guard implements Guarded.
func (lk *Lock) Guard() (any, error) {
	if err := lk.Err(); err != nil {
		return nil, err
	}
	l := lk.t.slot.l
	g, ok := l.backend.(Guarder)
	if !ok {
		return nil, fmt.Errorf("locker: locks of this backend cannot guard transactions: %w", errors.ErrUnsupported)
	}
	lk.t.slot.mu.Lock()
	ref := lk.t.ref()
	lk.t.slot.mu.Unlock()
	return g.Guard(ref)
}

// Release implements locker.Lock.
func (lk *Lock) Release(ctx context.Context) error {
	if !lk.valid() {
		return errNoLock
	}
	if ctx == nil {
		return fmt.Errorf("%w: the context is nil", locker.ErrInvalid)
	}
	t := lk.t
	s, l := t.slot, t.slot.l
	// Inside the gate before the hold changes, so that Close waits for this
	// call. Close shuts the gate after it has ended every hold: a call that is
	// not inside finds its hold lost.
	inside := l.gate.enter()
	if inside {
		defer l.gate.leave()
	}
	s.mu.Lock()
	if lk.err == nil {
		t.expired(l.clock.SinceBoot())
	}
	switch {
	case lk.err == nil:
		lk.end(locker.ErrReleased)
		t.levels = slices.DeleteFunc(t.levels, func(other *Lock) bool { return other == lk })
		if len(t.levels) > 0 {
			s.mu.Unlock()
			return nil
		}
		t.state, t.last = stateEnding, lk
		l.register.forget(t)
		err := t.release(ctx)
		if f := l.cfg.Trace.Released; f != nil {
			f(s.name, Token(t.tenure), err)
		}
		return err
	case lk.err != locker.ErrReleased: //nolint:errorlint // a loss may wrap any error of a backend
		err := lk.err
		s.mu.Unlock()
		return err
	case t.last != lk:
		s.mu.Unlock()
		return locker.ErrReleased
	case !inside && !t.settled:
		s.mu.Unlock()
		return closedError(s.name)
	}
	return t.releaseAgain(ctx)
}

// releaseAgain is a further call of Release on the last level. mu is held, and
// released.
func (t *ticket) releaseAgain(ctx context.Context) error {
	s := t.slot
	for t.releasing != nil {
		under := t.releasing
		s.mu.Unlock()
		wctx, cancel := s.l.releaseContext(ctx, requestTimeout)
		select {
		case <-under:
			cancel()
		case <-wctx.Done():
			cancel()
			return fmt.Errorf("locker: the release of %q is not answered yet: %w", s.name, locker.ErrUnavailable)
		}
		s.mu.Lock()
	}
	if t.settled {
		owed := t.owed
		t.owed = false
		s.mu.Unlock()
		if owed {
			return nil
		}
		return locker.ErrReleased
	}
	return t.release(ctx)
}

// release makes one attempt to release the hold on the server, and leaves a
// failed one to the background. mu is held, and released.
func (t *ticket) release(ctx context.Context) error {
	s, l := t.slot, t.slot.l
	t.releasing = make(chan struct{})
	r := Release{Ref: t.ref(), Uncertain: t.uncertain}
	// By the deadline the server has forgotten the hold anyway. A repeated call
	// may come later than that.
	bound := min(t.deadline()-l.clock.SinceBoot(), requestTimeout)
	if t.unanswered {
		bound = max(bound, releaseGrace)
	}
	s.mu.Unlock()

	rctx, cancel := l.releaseContext(ctx, bound)
	found, err := l.backend.Release(rctx, r)
	if err != nil && rctx.Err() != nil {
		err = unavailable(s.name, err)
	}
	cancel()

	s.mu.Lock()
	defer s.mu.Unlock()
	close(t.releasing)
	t.releasing = nil
	first := s.cur == t
	if first {
		t.state = stateEnded
		s.cur = nil
		s.promote()
		s.leave()
	}
	t.settled, t.owed = t.settled || err == nil, err != nil
	switch {
	case err == nil && (found || t.unanswered):
		return nil
	case err == nil:
		// The first answer finds the claim gone: the hold had ended before.
		return &locker.LostError{
			Name: s.name, Token: Token(t.tenure), Reason: locker.LostEvicted, At: l.clock.Now(),
			Err: errors.New("the server did not have the hold any more when it was released"),
		}
	}
	if !t.unanswered {
		t.unanswered = true
		l.undo(t)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("locker: the release is not answered yet, it goes on in the background: %w: %w: %w",
			locker.ErrUnavailable, contextError(ctx, s.name), err)
	}
	return fmt.Errorf("locker: the release of %q failed, it is repeated in the background: %w", s.name, err)
}

// releaseContext lives on for a grace after ctx has ended, up to bound.
func (l *Locker) releaseContext(ctx context.Context, bound time.Duration) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return l.requestContext(context.WithoutCancel(ctx), l.halt, min(bound, releaseGrace))
	}
	rctx, cancel := l.requestContext(context.WithoutCancel(ctx), l.halt, bound)
	if ctx.Done() == nil {
		return rctx, cancel
	}
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(releaseGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel()
		case <-rctx.Done():
		}
	})
	return rctx, func() {
		stop()
		cancel()
	}
}
