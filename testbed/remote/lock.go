package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

// Acquire is that of the Locker in the process.
func (p *Process) Acquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return p.acquire(ctx, opAcquire, name, opts)
}

// TryAcquire is that of the Locker in the process.
func (p *Process) TryAcquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return p.acquire(ctx, opTry, name, opts)
}

func (p *Process) acquire(ctx context.Context, op, name string, opts []locker.Option) (locker.Lock, error) {
	req, err := p.cfg.Resolve(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	id, answer, err := p.send(call{Op: op, Req: &req})
	if err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		return p.acquired(m)
	case <-p.gone:
		return nil, p.after(answer)
	case <-ctx.Done():
	}
	// The child decides whether the cancellation or the grant came first: the
	// answer to the call tells.
	if err := p.write(call{ID: id, Op: opCancel}); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	select {
	case m := <-answer:
		lock, err := p.acquired(m)
		if err != nil && errors.Is(err, context.Canceled) {
			return nil, ended(ctx)
		}
		return lock, err
	case <-p.gone:
		return nil, p.after(answer)
	case <-timeout.C:
		// Stopped. What it may get when it goes on nobody here waits for, so
		// it is given back then.
		go p.giveBack(answer)
		return nil, errors.Join(ended(ctx), fmt.Errorf("%w: the process has not answered for %v", locker.ErrUnavailable, answerTimeout))
	}
}

func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
		return errors.Join(cause, ctx.Err())
	}
	return ctx.Err()
}

func (p *Process) acquired(m message) (locker.Lock, error) {
	if err := m.Err.decode(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	l := p.locks[m.Lock.Handle]
	p.mu.Unlock()
	if l == nil {
		// It ended before we got here, or the process did.
		l = newLock(p, *m.Lock)
		err := p.err(m.Lock.Handle)
		if !errors.Is(err, locker.ErrLost) {
			err = l.lost(err)
		}
		l.end(err)
	}
	return l, nil
}

func (p *Process) giveBack(answer <-chan message) {
	select {
	case m := <-answer:
		if l, err := p.acquired(m); err == nil {
			_ = l.Release(context.Background()) // best effort: it expires
		}
	case <-p.gone:
	}
}

// err asks the child for the Err of a lock.
func (p *Process) err(handle uint64) error { return p.ask(call{Op: opErr, Lock: handle}) }

// A lock is one level of a hold in the process.
type lock struct {
	p     *Process
	state lockState // as acquired
	done  chan struct{}

	mu       sync.Mutex // guards what follows
	deadline time.Time
	err      error // why done was closed
}

var _ locker.Lock = (*lock)(nil)

func newLock(p *Process, s lockState) *lock {
	return &lock{p: p, state: s, done: make(chan struct{}), deadline: s.Deadline}
}

func (l *lock) Name() string          { return l.state.Name }
func (l *lock) Owner() string         { return l.state.Owner }
func (l *lock) Token() uint64         { return l.state.Token }
func (l *lock) TTL() time.Duration    { return l.state.TTL }
func (l *lock) Done() <-chan struct{} { return l.done }

// Deadline is the last one that the process has told: one that it has not told
// yet is later.
func (l *lock) Deadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline
}

// Err asks the process, whose own clock is the authority.
func (l *lock) Err() error {
	select {
	case <-l.done:
		return l.cause()
	default:
	}
	err := l.p.err(l.state.Handle)
	if err == nil {
		return nil
	}
	if !errors.Is(err, locker.ErrLost) && !errors.Is(err, locker.ErrReleased) && !errors.Is(err, ErrKilled) {
		return err // not an answer about the lock
	}
	<-l.done // the child's Done was closed: the news is on its way
	return l.cause()
}

func (l *lock) cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Release releases in the process. Of ctx only the end is told: it makes the
// call in the process one under an ended context from the start.
func (l *lock) Release(ctx context.Context) error {
	return l.p.ask(call{Op: opRelease, Lock: l.state.Handle, Expired: ctx != nil && ctx.Err() != nil})
}

func (l *lock) renewed(deadline time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if deadline.After(l.deadline) {
		l.deadline = deadline
	}
}

// lost is how a hold ends whose process is gone.
func (l *lock) lost(why error) error {
	return &locker.LostError{
		Name: l.state.Name, Token: l.state.Token, Reason: locker.LostExpired,
		At: time.Now(), Err: why,
	}
}

// end closes Done, once: whoever takes the lock out of Process.locks calls it.
func (l *lock) end(err error) {
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
	close(l.done)
}
