package locker

import (
	"context"
	"errors"
	"sync/atomic"
)

// An Ender is a Lock that calls back when it ends, without a goroutine waiting
// on Done meanwhile. f is called at most once, in a goroutine of its own, after
// Done was closed; stop keeps f from being called and reports whether it did,
// exactly as with context.AfterFunc.
type Ender interface {
	AfterEnd(f func(err error)) (stop func() bool)
}

// Context returns a context that ends when the lock does, with the lock's Err
// as its cause, or when parent ends or cancel is called. Call cancel when the
// work is done.
//
// Use it where work should be aborted when its lock is lost. Some work must not
// be: there, watch Done or AfterLoss, and check Err before each step that
// matters.
func Context(parent context.Context, lock Lock) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	if err := lock.Err(); err != nil {
		cancel(err)
		return ctx, func() {}
	}
	stop := afterEnd(lock, cancel)
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// AfterLoss calls f once, in a goroutine of its own, with the *LostError when
// the lock is lost, and never when it is released. stop keeps f from being
// called; it reports whether it did: false means that f was started, or that
// the lock ended, or that stop was called before.
func AfterLoss(lock Lock, f func(error)) (stop func() bool) {
	return afterEnd(lock, func(err error) {
		if errors.Is(err, ErrLost) {
			f(err)
		}
	})
}

func afterEnd(lock Lock, f func(error)) (stop func() bool) {
	if e, ok := As[Ender](lock); ok {
		return e.AfterEnd(f)
	}
	// A foreign Lock. One of the two sides takes the right to decide; the
	// loser does nothing, so f never runs after a stop that returned true.
	var decided atomic.Bool
	stopped := make(chan struct{})
	go func() {
		select {
		case <-lock.Done():
			if decided.CompareAndSwap(false, true) {
				f(lock.Err())
			}
		case <-stopped:
		}
	}()
	return func() bool {
		if !decided.CompareAndSwap(false, true) {
			return false
		}
		close(stopped)
		return true
	}
}
