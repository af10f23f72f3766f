package txn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Update runs fn as a transaction: all of its writes are applied in one step,
// at an instant at which everything that it read was still as it had read it;
// or nothing is written.
//
// fn collects reads and writes; nothing is sent before it returns nil. If
// another transaction got in between, fn runs again on a new Tx, after a
// jittered and growing pause, until it succeeds or ctx ends. So fn runs any
// number of times, and must have no effect but through tx. In each run it sees
// the keys as they were at one instant.
//
// An error of fn aborts: nothing is written, and Update returns that error as
// it is. A panic in fn aborts too, and goes on.
//
// Any error means that nothing was written and nothing will be, except
// ErrUnknown: then ctx ended, or the server was out of reach for too long, to
// find out. On a guarded store the error is locker.ErrLost if the lock is not
// held any more. If ctx ends during the commit, Update takes up to another
// second to find out what became of it: nil means that it was applied.
func Update(ctx context.Context, store Store, fn func(tx Tx) error) error {
	if fn == nil {
		return invalidf("the function is nil")
	}
	return run(ctx, store, func(t *tx) error { return fn(t) })
}

// View runs fn on a snapshot: everything that it reads was so at one and the
// same instant, which lies within the call of View. fn may run several times,
// as with Update. On a guarded store the lock was held at that instant, else
// the error is locker.ErrLost, whatever fn returned nil for.
func View(ctx context.Context, store Store, fn func(r Reader) error) error {
	if fn == nil {
		return invalidf("the function is nil")
	}
	return run(ctx, store, func(t *tx) error { return fn(t) })
}

func run(ctx context.Context, store Store, fn func(*tx) error) error {
	if err := checkCall(ctx, store); err != nil {
		return err
	}
	turn := turn{latches: latchesOf(store)}
	defer turn.end() // on a panic too
	var t *tx
	for n := 1; ; n++ {
		began := time.Now()
		t = newTx(store, t)
		again, err := attempt(ctx, store, t, &turn, fn)
		if !again {
			return err
		}
		if err == nil { // refused by a local transaction, so nobody was asked
			turn.wait(ctx, t)
		} else {
			turn.end()
			pause(ctx, n, time.Since(began))
			turn.wait(ctx, t)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w, in each of %d attempts: %w", ErrConflict, n, contextError(ctx))
		}
	}
}

// attempt runs fn once. again says that a conflict was in the way; err is nil
// then if it was one with a local transaction that is under way.
func attempt(ctx context.Context, store Store, t *tx, turn *turn, fn func(*tx) error) (again bool, err error) {
	defer func() { t.done = true }()
	err = fn(t)
	switch {
	case errors.Is(t.failed, ErrConflict):
		return true, t.failed // fn had no way to know better
	case err != nil:
		return false, err
	case t.failed != nil:
		return false, t.failed
	}
	c := t.commit()
	if len(c.Then) > 0 && !turn.take(t) {
		return true, nil
	}
	res, err := store.Commit(ctx, c)
	switch {
	case err != nil:
		return false, err
	case !res.Succeeded:
		return true, ErrConflict
	}
	return false, nil
}

// The pauses between attempts. The unit is how long an attempt took, because
// that is for how long the next one can be disturbed.
const (
	minPause   = 100 * time.Microsecond
	maxPause   = 500 * time.Millisecond
	pauseSteps = 8
)

func pause(ctx context.Context, attempt int, took time.Duration) {
	longest := min(max(took, minPause)<<min(attempt-1, pauseSteps), maxPause)
	timer := time.NewTimer(rand.N(longest) + 1)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// contextError is the error of a ctx that has ended, together with its cause.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
