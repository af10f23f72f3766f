package locker

import (
	"context"
	"errors"
)

// Do acquires name, runs fn, and releases.
//
// The context of fn ends when the hold is lost, with the *LostError as its
// cause, and when fn returns. A fn that ignores it goes on running unprotected:
// Do cannot stop it.
//
// Do returns, in this order: the error of Acquire, if it failed and fn did not
// run; ErrLost if the hold was lost before fn returned, joined with the error
// of fn if it had one; the error of fn; a *ReleaseError if only the cleanup
// failed, joined with the error of fn if it had one. A panic in fn, and
// runtime.Goexit, release the lock and go on.
func Do(ctx context.Context, l Locker, name string, fn func(ctx context.Context, lock Lock) error, opts ...Option) error {
	if l == nil || fn == nil {
		return invalidf("the Locker or the function is nil")
	}
	lock, err := l.Acquire(ctx, name, opts...)
	if err != nil {
		return err
	}
	return run(ctx, lock, fn)
}

// TryDo is Do without waiting. When somebody else holds the name, ran is false
// and err is nil; an ErrHeld that fn returns is not mistaken for that. ran says
// whether fn was started.
func TryDo(ctx context.Context, l Locker, name string, fn func(ctx context.Context, lock Lock) error, opts ...Option) (ran bool, err error) {
	if l == nil || fn == nil {
		return false, invalidf("the Locker or the function is nil")
	}
	lock, err := l.TryAcquire(ctx, name, opts...)
	if errors.Is(err, ErrHeld) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, run(ctx, lock, fn)
}

func run(ctx context.Context, lock Lock, fn func(context.Context, Lock) error) (err error) {
	fnCtx, cancel := Context(ctx, lock)
	defer cancel()
	// The deferred release runs on a panic and on Goexit too. It does not
	// recover, so that both go on with their own stack.
	defer func() { err = outcome(lock, err, lock.Release(ctx)) }()
	return fn(fnCtx, lock)
}

// outcome judges a finished fn by what Release said: only Release knows whether
// the hold lasted until fn had returned.
func outcome(lock Lock, fnErr, relErr error) error {
	switch {
	case relErr == nil:
		return fnErr
	case errors.Is(relErr, ErrLost):
		return join(fnErr, relErr)
	case errors.Is(relErr, ErrReleased):
		return fnErr // fn released the lock itself
	}
	return join(fnErr, &ReleaseError{Name: lock.Name(), Err: relErr})
}

func join(fnErr, err error) error {
	if fnErr == nil || errors.Is(fnErr, err) {
		return err
	}
	return errors.Join(fnErr, err)
}
