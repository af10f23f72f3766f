package foreign

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

// lock is the part of a Lock that no library has: its fixed answers, and one
// end. It is lost when lose is called, and released when unlock has said nil.
type lock struct {
	name   string
	ttl    time.Duration
	token  uint64
	unlock func(context.Context) error
	until  func() time.Time // nil: the library does not tell

	closing context.Context // of the adapter; set before anybody else has the lock

	calls sync.Mutex // held by Release: no library says that its Unlock may run twice at once

	mu   sync.Mutex // guards err
	err  error
	done chan struct{}
}

func newLock(name string, ttl time.Duration, unlock func(context.Context) error) *lock {
	return &lock{name: name, ttl: ttl, unlock: unlock, done: make(chan struct{})}
}

func (l *lock) Name() string          { return l.name }
func (l *lock) Owner() string         { return "" }
func (l *lock) Token() uint64         { return l.token }
func (l *lock) TTL() time.Duration    { return l.ttl }
func (l *lock) Done() <-chan struct{} { return l.done }

func (l *lock) Deadline() time.Time {
	if l.until == nil {
		return time.Time{}
	}
	return l.until()
}

func (l *lock) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *lock) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.done)
	}
}

func (l *lock) lose(cause error) { l.loseBy(locker.LostExpired, cause) }

func (l *lock) loseBy(reason locker.LostReason, cause error) {
	l.end(&locker.LostError{Name: l.name, Token: l.token, Reason: reason, At: time.Now(), Err: cause})
}

// Release calls the library each time, also the second, to show what it does.
func (l *lock) Release(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("foreign: %w: the context is nil", locker.ErrInvalid)
	}
	l.calls.Lock()
	defer l.calls.Unlock()
	before := l.Err()
	err := l.unlock(ctx)
	if errors.Is(before, locker.ErrClosed) {
		return errors.Join(before, err) // what ended it was no library's doing
	}
	if err == nil {
		l.end(locker.ErrReleased)
		return nil
	}
	if l.closing.Err() != nil {
		err = errors.Join(locker.ErrClosed, err) // the client was closed, and not by the library
	}
	return errors.Join(before, err) // what was known before is still so
}

// notHeld is what the library's word that the lock is not held means to a holder
// that was told nothing.
func (l *lock) notHeld(own error) error {
	if l.Err() == nil {
		l.lose(own)
	}
	return errors.Join(l.Err(), own)
}
