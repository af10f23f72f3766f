package driver_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
)

// both runs a test against a backend that polls and one that pushes.
func both(t *testing.T, f func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker)) {
	t.Run("polling", func(t *testing.T) {
		bubble(t, func(t *testing.T, _ context.Context) {
			s := newServer()
			f(t, s, func(o ...locker.OpenOption) locker.Locker { return s.open(t, o...) })
		})
	})
	t.Run("pushing", func(t *testing.T) {
		bubble(t, func(t *testing.T, _ context.Context) {
			s := newServer()
			f(t, s, func(o ...locker.OpenOption) locker.Locker { return s.openPushing(t, o...) })
		})
	})
}

func TestWaiterGetsTheNameAfterRelease(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(), open()
		first := must(t, a, "x")
		waiter := background(func() (locker.Lock, error) { return b.Acquire(t.Context(), "x") })
		time.Sleep(time.Minute) // both are kept alive for longer than a TTL
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := <-waiter
		if r.err != nil || r.lock.Token() <= first.Token() {
			t.Fatalf("waiter got %v, %v", r.lock, r.err)
		}
	})
}

func TestLostClaimAnswerIsAskedForAgain(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		lose := 3
		s.onAfter(func(op, _ string) error {
			if op == "claim" && lose > 0 {
				lose--
				return errNet
			}
			return nil
		})
		lock := must(t, open(), "x")
		if ids := s.claims("x"); len(ids) != 1 || lock.Err() != nil {
			t.Fatalf("claims on the server: %v", ids)
		}
	})
}

func TestTryWithoutAnswerLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		lost := false
		s.onAfter(func(op, _ string) error {
			if op == "claim" && !lost {
				lost = true
				return errNet
			}
			return nil
		})
		a := open()
		if _, err := a.TryAcquire(t.Context(), "x"); !errors.Is(err, locker.ErrUnavailable) || errors.Is(err, locker.ErrHeld) {
			t.Fatalf("TryAcquire: %v, want ErrUnavailable", err)
		}
		synctest.Wait()
		if ids := s.claims("x"); len(ids) != 0 {
			t.Fatalf("left on the server: %v", ids)
		}
		if _, err := a.TryAcquire(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSilentServerIsUnavailableInTime(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		s.onBefore(func(op, _ string) error { return errNet })
		a := s.open(t)
		start := time.Now()
		_, err := a.Acquire(ctx, "x", locker.WithTTL(time.Second))
		if !errors.Is(err, locker.ErrUnavailable) || time.Since(start) > 12*time.Second {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		_, err = a.Acquire(ctx, "x", locker.WithMaxWait(time.Second))
		if !errors.Is(err, locker.ErrUnavailable) || time.Since(start) > 3*time.Second {
			t.Fatalf("with patience, after %v: %v", time.Since(start), err)
		}
		cause := errors.New("enough")
		cctx, cancel := context.WithTimeoutCause(ctx, time.Second, cause)
		defer cancel()
		_, err = a.Acquire(cctx, "x")
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cause) || errors.Is(err, locker.ErrHeld) {
			t.Fatalf("with a deadline: %v", err)
		}
	})
}

func TestPatienceTellsHeldFromUnavailable(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(locker.WithIdentity("anna")), open()
		must(t, a, "x")
		for _, patience := range []time.Duration{0, time.Second} {
			var held *locker.HeldError
			_, err := b.Acquire(t.Context(), "x", locker.WithMaxWait(patience))
			if !errors.As(err, &held) || held.Holder.Client != "anna" {
				t.Fatalf("patience %v at another client: %v", patience, err)
			}
			_, err = a.Acquire(t.Context(), "x", locker.WithMaxWait(patience))
			if !errors.As(err, &held) || held.Holder.Token == 0 {
				t.Fatalf("patience %v at the same client: %v", patience, err)
			}
		}
		synctest.Wait()
		if ids := s.claims("x"); len(ids) != 1 {
			t.Fatalf("claims left: %v", ids)
		}
	})
}

func TestCancelledHeadGivesItsPlaceToTheNextOfItsClient(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b, c := open(), open(), open()
		first := must(t, a, "x")
		ctx, cancel := context.WithCancel(t.Context())
		head := background(func() (locker.Lock, error) { return b.Acquire(ctx, "x") })
		synctest.Wait()
		second := background(func() (locker.Lock, error) {
			return b.Acquire(t.Context(), "x", locker.WithMetadata("other"), locker.WithTTL(time.Minute))
		})
		synctest.Wait()
		last := background(func() (locker.Lock, error) { return c.Acquire(t.Context(), "x") })
		synctest.Wait()
		before := s.claims("x")
		cancel()
		if r := <-head; !errors.Is(r.err, context.Canceled) {
			t.Fatal(r.err)
		}
		synctest.Wait()
		if after := s.claims("x"); !slices.Equal(before, after) {
			t.Fatalf("the queue changed from %v to %v", before, after)
		}
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := <-second
		if r.err != nil || r.lock.TTL() != time.Minute {
			t.Fatalf("second waiter: %v", r.err)
		}
		if err := r.lock.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := <-last; r.err != nil {
			t.Fatal(r.err)
		}
	})
}

func TestCancelledWaiterLeavesNoGhost(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(), open()
		must(t, a, "x")
		ctx, cancel := context.WithCancel(t.Context())
		w := background(func() (locker.Lock, error) { return b.Acquire(ctx, "x") })
		synctest.Wait()
		cancel()
		if r := <-w; r.lock != nil || !errors.Is(r.err, context.Canceled) {
			t.Fatal(r)
		}
		synctest.Wait()
		if ids := s.claims("x"); len(ids) != 1 {
			t.Fatalf("claims left: %v", ids)
		}
	})
}

func TestCancelRacingGrantGivesLockOrError(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(), open()
		granted := 0
		for range 500 {
			hold := must(t, a, "x")
			ctx, cancel := context.WithCancel(t.Context())
			w := background(func() (locker.Lock, error) { return b.Acquire(ctx, "x") })
			synctest.Wait()
			var wg sync.WaitGroup
			wg.Go(cancel)
			wg.Go(func() {
				if err := hold.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
			r := <-w
			wg.Wait()
			switch {
			case r.err == nil && r.lock != nil:
				granted++
				if err := r.lock.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
			case r.lock == nil && errors.Is(r.err, context.Canceled):
			default:
				t.Fatal(r)
			}
		}
		t.Logf("%d of 500 were granted", granted)
		synctest.Wait()
		if ids := s.claims("x"); len(ids) != 0 {
			t.Fatalf("claims left: %v", ids)
		}
	})
}

func TestGrantThatTookLongerThanItsTTLIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		slow := true
		s.onAfter(func(op, _ string) error {
			if op == "claim" && slow {
				slow = false
				time.Sleep(1500 * time.Millisecond)
			}
			return nil
		})
		a := s.open(t)
		_, err := a.Acquire(ctx, "x", locker.WithTTL(1500*time.Millisecond))
		if !errors.Is(err, locker.ErrUnavailable) {
			t.Fatalf("Acquire: %v", err)
		}
		synctest.Wait()
		if ids := s.claims("x"); len(ids) != 0 {
			t.Fatalf("claims left: %v", ids)
		}
	})
}

func TestRefusalByTheServerIsFinal(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		refusal := errors.New("permission denied: grant the user write access")
		s.onBefore(func(op, _ string) error {
			if op == "claim" {
				return refusal
			}
			return nil
		})
		a := s.open(t)
		start := time.Now()
		if _, err := a.Acquire(ctx, "x"); !errors.Is(err, refusal) || errors.Is(err, locker.ErrUnavailable) || time.Since(start) > 0 {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
	})
}

// Many tries at once on a held name share the answer of the server: a younger
// one must ask for itself, so two rounds are enough.
func TestTriesShareAnswers(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(), open()
		must(t, a, "x")
		s.onAfter(func(op, _ string) error {
			if op == "claim" {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		before := s.count("claim")
		var all []<-chan result
		for range 64 {
			all = append(all, background(func() (locker.Lock, error) { return b.TryAcquire(t.Context(), "x") }))
		}
		for _, c := range all {
			if r := <-c; !errors.Is(r.err, locker.ErrHeld) {
				t.Fatal(r)
			}
		}
		if n := s.count("claim") - before; n > 2 {
			t.Fatalf("64 tries at once sent %d claims", n)
		}
	})
}

func TestWaiterThatTheServerForgotRejoins(t *testing.T) {
	both(t, func(t *testing.T, s *server, open func(...locker.OpenOption) locker.Locker) {
		a, b := open(), open()
		hold := must(t, a, "x")
		w := background(func() (locker.Lock, error) { return b.Acquire(t.Context(), "x") })
		synctest.Wait()
		ids := s.claims("x")
		s.mu.Lock()
		s.remove("x", ids[1])
		s.mu.Unlock()
		time.Sleep(15 * time.Second) // the renewal at a third of the TTL says so
		if now := s.claims("x"); len(now) != 2 {
			t.Fatalf("claims after the waiter's was deleted: %v", now)
		}
		if err := hold.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := <-w; r.err != nil {
			t.Fatal(r.err)
		}
	})
}

// The place is kept also when the head is cancelled while it asks for its turn.
func TestHeadCancelledWhilePollingGivesItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T, _ context.Context) {
		s := newServer()
		a, b := s.open(t), s.open(t)
		hold := must(t, a, "x")
		ctx, cancel := context.WithCancel(t.Context())
		head := background(func() (locker.Lock, error) { return b.Acquire(ctx, "x") })
		synctest.Wait()
		before := s.claims("x")
		s.silence("claim")
		time.Sleep(time.Second) // a poll is under way
		next := background(func() (locker.Lock, error) { return b.Acquire(t.Context(), "x") })
		synctest.Wait()
		cancel()
		if r := <-head; !errors.Is(r.err, context.Canceled) {
			t.Fatal(r.err)
		}
		s.silence("")
		time.Sleep(11 * time.Second)
		if after := s.claims("x"); !slices.Equal(before, after) {
			t.Fatalf("the queue changed from %v to %v", before, after)
		}
		if err := hold.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := <-next; r.err != nil {
			t.Fatal(r.err)
		}
	})
}
