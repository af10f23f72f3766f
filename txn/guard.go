package txn

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// Guarded returns a Store whose every commit, snapshot and read holds only if
// lock is still the current hold, judged by the server in the very step that
// commits. Otherwise the error is locker.ErrLost, and nothing is written. So a
// holder that was paused, cut off or evicted cannot write over its successor,
// whatever the clocks say.
//
// The handle is looked at before anything is sent: once lock.Err is not nil
// every call fails with that error, which is made to match locker.ErrLost after
// a Release too. The guard protects commits through this Store only, and not
// what else is done under the lock.
//
// lock and store must be of the same server, which StoreOf ensures. Guarded
// itself never fails: if the store cannot check this lock (it is of another
// backend, or its backend has no guards, or either is nil), every call of the
// Store that it returns does, so that nothing is unguarded by accident. Wrapped
// locks are seen through (see locker.As). Guarding a guarded Store checks both.
func Guarded(store Store, lock locker.Lock) Store {
	return &guarded{store: store, lock: lock}
}

// An InFlight is a lock that wants to know which guarded commits are under way.
// While one is, or after one whose outcome stayed unknown, a client must not
// hand its hold on without asking the server: the guard would take the next
// owner for the former one.
type InFlight interface {
	// BeginGuarded is Guard, and marks a commit as under way until end is
	// called, exactly once. settled is false if its outcome is unknown.
	BeginGuarded() (guard any, end func(settled bool), err error)
}

type guarded struct {
	store Store
	lock  locker.Lock
}

var (
	_ Store   = (*guarded)(nil)
	_ Latcher = (*guarded)(nil)
)

// begin takes the guard for one call. It is taken anew each time: the handle is
// checked by that, and what identifies a hold may change during its life.
func (g *guarded) begin() (guard any, end func(settled bool), err error) {
	switch {
	case g.store == nil:
		return nil, nil, invalidf("Guarded was given a nil Store")
	case g.lock == nil:
		return nil, nil, invalidf("Guarded was given a nil Lock")
	}
	if err := g.lock.Err(); err != nil {
		return nil, nil, g.ended(err)
	}
	end = func(bool) {}
	if l, ok := locker.As[InFlight](g.lock); ok {
		guard, end, err = l.BeginGuarded()
	} else if l, ok := locker.As[driver.Guarded](g.lock); ok {
		guard, err = l.Guard()
	} else {
		err = fmt.Errorf("%T has no guard: %w", g.lock, errors.ErrUnsupported)
	}
	if err != nil {
		if lost := g.lock.Err(); lost != nil {
			return nil, nil, g.ended(lost)
		}
		return nil, nil, fmt.Errorf("txn: the lock %q cannot guard: %w", g.lock.Name(), err)
	}
	if err := g.store.CheckGuard(guard); err != nil {
		end(true)
		return nil, nil, fmt.Errorf("txn: the lock %q cannot guard this store: %w", g.lock.Name(), err)
	}
	return guard, end, nil
}

// ended makes the error for a handle that has ended. For a commit, a hold that
// was released is as gone as one that was lost.
func (g *guarded) ended(err error) error {
	if errors.Is(err, locker.ErrLost) {
		return fmt.Errorf("txn: nothing was committed: %w", err)
	}
	return fmt.Errorf("txn: nothing was committed: %w: %q guards no longer: %w", locker.ErrLost, g.lock.Name(), err)
}

func (g *guarded) Commit(ctx context.Context, c Commit) (Result, error) {
	guard, end, err := g.begin()
	if err != nil {
		return Result{}, err
	}
	settled := false
	defer func() { end(settled) }() // on a panic of the store nobody knows
	c.Guards = append(c.Guards[:len(c.Guards):len(c.Guards)], guard)
	res, err := g.store.Commit(ctx, c)
	settled = !errors.Is(err, ErrUnknown)
	if errors.Is(err, locker.ErrLost) {
		// The handle may know the reason by now.
		if lost := g.lock.Err(); lost != nil {
			return Result{}, g.ended(lost)
		}
	}
	return res, err
}

func (g *guarded) Snapshot() Snapshot { return &guardedSnapshot{g: g} }

func (g *guarded) CheckGuard(guard any) error {
	if g.store == nil {
		return invalidf("Guarded was given a nil Store")
	}
	return g.store.CheckGuard(guard)
}

func (g *guarded) Latches() *Latches { return latchesOf(g.store) }

// A guardedSnapshot checks the handle before each read, for an early end. The
// server judges at the commit: View ends with an empty one.
type guardedSnapshot struct {
	g     *guarded
	under Snapshot
}

func (s *guardedSnapshot) Read(ctx context.Context, keys ...string) ([]Entry, error) {
	_, end, err := s.g.begin()
	if err != nil {
		return nil, err
	}
	end(true)
	if s.under == nil {
		s.under = s.g.store.Snapshot()
	}
	return s.under.Read(ctx, keys...)
}
