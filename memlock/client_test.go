package memlock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

// pair runs a test with two clients of one server, which must leave nothing.
func pair(t *testing.T, f func(t *testing.T, a, b *memlock.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := memlock.NewServer()
		var c [2]*memlock.Client
		for i, identity := range []string{"a", "b"} {
			var err error
			if c[i], err = server.Open(locker.WithIdentity(identity)); err != nil {
				t.Fatal(err)
			}
		}
		f(t, c[0], c[1])
		for _, c := range c {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		time.Sleep(locker.DefaultTTL)
		synctest.Wait()
		if left := server.Residue(); len(left) > 0 {
			t.Errorf("left on the server: %q", left)
		}
	})
}

func acquire(t *testing.T, l locker.Locker, name string, opts ...locker.Option) locker.Lock {
	t.Helper()
	lock, err := l.Acquire(t.Context(), name, opts...)
	if err != nil {
		t.Fatalf("Acquire(%q): %v", name, err)
	}
	return lock
}

func release(t *testing.T, lock locker.Lock) {
	t.Helper()
	if err := lock.Release(t.Context()); err != nil {
		t.Errorf("Release: %v", err)
	}
}

func lostBy(t *testing.T, lock locker.Lock, want locker.LostReason) {
	t.Helper()
	synctest.Wait()
	var lost *locker.LostError
	if err := lock.Err(); !errors.As(err, &lost) || lost.Reason != want {
		t.Errorf("Err = %v, want it lost: %v", err, want)
	}
}

func TestAnEvictedOrBrokenHoldIsToldAtOnce(t *testing.T) {
	pair(t, func(t *testing.T, a, b *memlock.Client) {
		lock := acquire(t, a, "n")
		if err := a.Server().Evict("n"); err != nil {
			t.Fatal(err)
		}
		lostBy(t, lock, locker.LostEvicted)

		lock = acquire(t, a, "n")
		if err := locker.Break(t.Context(), b, "n", lock.Token()); err != nil {
			t.Fatal(err)
		}
		lostBy(t, lock, locker.LostBroken)
		next := acquire(t, b, "n")
		if next.Token() <= lock.Token() {
			t.Errorf("token %d after %d", next.Token(), lock.Token())
		}
		release(t, next)
	})
}

func TestAHolderThatIsCutOffKnowsBeforeTheNextOne(t *testing.T) {
	for _, d := range []memlock.Direction{memlock.Up, memlock.Down, memlock.Both} {
		pair(t, func(t *testing.T, a, b *memlock.Client) {
			lock := acquire(t, a, "n")
			a.Cut(d)
			if d == memlock.Down {
				// Its renewals arrive: the server knows no reason to end it.
				time.Sleep(locker.DefaultTTL)
				lostBy(t, lock, locker.LostExpired)
			}
			next := acquire(t, b, "n")
			lostBy(t, lock, locker.LostExpired)
			a.Heal()
			release(t, next)
		})
	}
}

func TestAHoldSurvivesAShortCut(t *testing.T) {
	pair(t, func(t *testing.T, a, _ *memlock.Client) {
		lock := acquire(t, a, "n")
		for range 10 {
			a.Cut(memlock.Both)
			time.Sleep(locker.DefaultTTL / 4)
			a.Heal()
			time.Sleep(locker.DefaultTTL / 2)
		}
		release(t, lock)
	})
}

func TestLostAnswersAreNoLoss(t *testing.T) {
	pair(t, func(t *testing.T, a, b *memlock.Client) {
		a.DropReplies(1)
		lock := acquire(t, a, "n")
		a.DropReplies(1)
		if err := lock.Release(t.Context()); err != nil && !errors.Is(err, locker.ErrUnavailable) {
			t.Errorf("Release = %v, want nil, or that only the cleanup is open", err)
		}
		start := time.Now()
		next := acquire(t, b, "n")
		if waited := time.Since(start); waited > locker.DefaultTTL {
			t.Errorf("the name was free after %v", waited)
		}
		release(t, next)
	})
}

func TestCrashOfAClient(t *testing.T) {
	pair(t, func(t *testing.T, a, b *memlock.Client) {
		lock, other := acquire(t, a, "n"), acquire(t, b, "m")
		waiting := make(chan error, 1)
		go func() {
			_, err := a.Acquire(context.Background(), "m")
			waiting <- err
		}()
		synctest.Wait()

		start := time.Now()
		a.Crash()
		if err := <-waiting; !errors.Is(err, locker.ErrClosed) {
			t.Errorf("the Acquire that waited returned %v, want ErrClosed", err)
		}
		if _, err := a.TryAcquire(t.Context(), "o"); !errors.Is(err, locker.ErrClosed) {
			t.Errorf("TryAcquire = %v, want ErrClosed", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("that took %v", waited)
		}
		if st, err := locker.Inspect(t.Context(), b, "n"); err != nil || st.Holder.Client != "a" {
			t.Errorf("the server released the hold of a crashed client: %+v, %v", st, err)
		}
		next := acquire(t, b, "n")
		if waited := time.Since(start); waited != locker.DefaultTTL {
			t.Errorf("free %v after the crash, want %v", waited, locker.DefaultTTL)
		}
		if lock.Err() == nil {
			t.Error("the hold of the crashed client has not ended")
		}
		release(t, next)
		release(t, other)
	})
}

func TestCloseOfAClientThatIsCutOff(t *testing.T) {
	pair(t, func(t *testing.T, a, _ *memlock.Client) {
		lock := acquire(t, a, "n")
		a.Cut(memlock.Both)
		start := time.Now()
		_ = a.Close() // whether it says so is the engine's business
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("Close took %v", took)
		}
		lostBy(t, lock, locker.LostClosed)
	})
}
