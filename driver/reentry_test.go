package driver_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

func TestReentry(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a := open()
		me := locker.WithReentry("me")
		one := must(t, a, "x", me)
		two := must(t, a, "x", me, locker.WithTTL(time.Hour))
		if one.Token() != two.Token() || two.TTL() != one.TTL() {
			t.Fatal("a level has its own token or TTL")
		}
		if _, err := a.TryAcquire(t.Context(), "x", locker.WithReentry("you")); !errors.Is(err, locker.ErrHeld) {
			t.Fatal(err)
		}
		if err := one.Release(t.Context()); err != nil || !ended(one) || ended(two) || two.Err() != nil {
			t.Fatal(err)
		}
		if _, err := a.TryAcquire(t.Context(), "x"); !errors.Is(err, locker.ErrHeld) {
			t.Fatal(err)
		}
		if err := one.Release(t.Context()); !errors.Is(err, locker.ErrReleased) || two.Err() != nil {
			t.Fatal(err)
		}
		if err := two.Release(t.Context()); err != nil || len(s.claims("x")) != 0 {
			t.Fatal(err)
		}
		again := must(t, a, "x", me)
		if again.Token() <= two.Token() {
			t.Fatal("the token did not grow")
		}
	})
}

func TestQueuedAttemptsOfTheOwnerEnterTogether(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(), open()
		hold := must(t, b, "x")
		ctx := locker.Reentrant(t.Context())
		var waiters []<-chan result
		for range 3 {
			waiters = append(waiters, background(func() (locker.Lock, error) { return a.Acquire(ctx, "x") }))
			synctest.Wait()
		}
		stranger := background(func() (locker.Lock, error) { return a.Acquire(t.Context(), "x") })
		synctest.Wait()
		if err := hold.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		var locks []locker.Lock
		for _, w := range waiters {
			r := <-w
			if r.err != nil {
				t.Fatal(r.err)
			}
			locks = append(locks, r.lock)
		}
		for i, lock := range locks {
			if len(stranger) != 0 {
				t.Fatalf("the stranger entered before release %d", i)
			}
			if err := lock.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if r := <-stranger; r.err != nil {
			t.Fatal(r.err)
		}
	})
}

func TestCloseEndsHoldsBeforeItFreesThem(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(), open()
		var locks []locker.Lock
		for _, name := range []string{"x", "y", "z"} {
			locks = append(locks, must(t, a, name))
		}
		var early atomic.Bool
		s.onBefore(func(op, _ string) error {
			if op == "release" && (!ended(locks[0]) || !ended(locks[1]) || !ended(locks[2])) {
				early.Store(true)
			}
			return nil
		})
		waiting := background(func() (locker.Lock, error) { return b.Acquire(t.Context(), "x") })
		local := background(func() (locker.Lock, error) { return a.Acquire(t.Context(), "x") })
		synctest.Wait()
		if err := a.Close(); err != nil || early.Load() {
			t.Fatalf("Close: %v; freed before every Done was closed: %v", err, early.Load())
		}
		if r := <-local; !errors.Is(r.err, locker.ErrClosed) {
			t.Fatal(r)
		}
		for _, lock := range locks {
			if err := lock.Err(); !errors.Is(err, locker.ErrLost) || !errors.Is(err, locker.ErrClosed) {
				t.Fatal(err)
			}
			if err := lock.Release(t.Context()); !errors.Is(err, locker.ErrLost) {
				t.Fatal(err)
			}
		}
		if r := <-waiting; r.err != nil {
			t.Fatal(r.err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Acquire(t.Context(), "x"); !errors.Is(err, locker.ErrClosed) {
			t.Fatal(err)
		}
		if n := len(s.claims("y")) + len(s.claims("z")); n != 0 {
			t.Fatalf("%d claims left", n)
		}
	})
}

func TestZeroValuesAreErrorsNotPanics(t *testing.T) {
	var l *driver.Locker
	if _, err := l.Acquire(t.Context(), "x"); !errors.Is(err, locker.ErrInvalid) {
		t.Fatal(err)
	}
	for _, lock := range []*driver.Lock{nil, {}} {
		if !errors.Is(lock.Err(), locker.ErrInvalid) || !errors.Is(lock.Release(t.Context()), locker.ErrInvalid) {
			t.Fatal("a zero Lock is not ErrInvalid")
		}
		_, _, _, _, _ = lock.Name(), lock.Owner(), lock.Token(), lock.TTL(), lock.Deadline()
		<-lock.Done()
	}
}
