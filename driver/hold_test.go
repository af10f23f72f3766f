package driver_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

func ended(lock locker.Lock) bool {
	select {
	case <-lock.Done():
		return true
	default:
		return false
	}
}

func TestHoldOutlivesFailedRenewals(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		var failures atomic.Int32
		a := s.open(t, locker.WithTrace(&locker.Trace{
			RenewFailed: func(string, uint64, error) { failures.Add(1) },
		}))
		lock := must(t, a, "x", locker.WithTTL(9*time.Second))
		s.onBefore(func(op, _ string) error {
			if op == "renew" {
				return errNet
			}
			return nil
		})
		time.Sleep(6 * time.Second)
		s.onBefore(nil)
		time.Sleep(time.Minute)
		if lock.Err() != nil || failures.Load() < 2 {
			t.Fatalf("after %d failures: %v", failures.Load(), lock.Err())
		}
	})
}

// Validity counts from before the request: the answer of this one took 2 s.
func TestDeadlineCountsFromTheSending(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		s.onAfter(func(op, _ string) error {
			if op == "claim" {
				time.Sleep(2 * time.Second)
			}
			if op == "renew" {
				return errNet
			}
			return nil
		})
		sent := time.Now()
		lock := must(t, s.open(t), "x", locker.WithTTL(10*time.Second))
		if want := sent.Add(9900 * time.Millisecond); !lock.Deadline().Equal(want) {
			t.Fatalf("deadline %v after the sending", lock.Deadline().Sub(sent))
		}
		s.onBefore(func(op, _ string) error {
			if op != "claim" {
				return errNet
			}
			return nil
		})
		<-lock.Done()
		if since := time.Since(sent); since > 9900*time.Millisecond {
			t.Fatalf("told %v after the sending", since)
		}
		var lost *locker.LostError
		if !errors.As(lock.Err(), &lost) || lost.Reason != locker.LostExpired || !errors.Is(lost, locker.ErrUnavailable) {
			t.Fatalf("Err: %v", lock.Err())
		}
	})
}

// A renewal goes out though the one before it is not answered.
func TestLateRenewalAnswersCostNoHold(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		s.onAfter(func(op, _ string) error {
			if op == "renew" {
				time.Sleep(6 * time.Second)
			}
			return nil
		})
		lock := must(t, s.open(t), "x", locker.WithTTL(10*time.Second))
		time.Sleep(5 * time.Minute)
		if err := lock.Err(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSuspendedTimeEndsTheHold(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		var asleep atomic.Int64
		start := time.Now()
		clock := driver.Clock{
			Now:       time.Now,
			SinceBoot: func() time.Duration { return time.Since(start) + time.Duration(asleep.Load()) + 1 },
			Suspends:  true,
		}
		a := s.open(t, driver.WithClock(clock))
		lock, other := must(t, a, "x"), must(t, a, "y")
		done := other.Done()
		asleep.Store(int64(time.Hour))
		if err := lock.Err(); !errors.Is(err, locker.ErrLost) || !ended(lock) {
			t.Fatalf("Err right after waking up: %v", err)
		}
		woke := time.Now()
		<-done
		if late := time.Since(woke); late > 100*time.Millisecond {
			t.Fatalf("Done closed %v after waking up", late)
		}
	})
}

func TestEvictionIsToldAtTheNextRenewal(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		lock := must(t, s.open(t), "x", locker.WithTTL(9*time.Second))
		s.mu.Lock()
		s.remove("x", s.queues["x"][0].c.ID)
		s.mu.Unlock()
		start := time.Now()
		<-lock.Done()
		var lost *locker.LostError
		if !errors.As(lock.Err(), &lost) || lost.Reason != locker.LostEvicted || time.Since(start) > 3*time.Second {
			t.Fatalf("after %v: %v", time.Since(start), lock.Err())
		}
		if err := lock.Release(ctx); !errors.Is(err, locker.ErrLost) {
			t.Fatalf("Release of a lost hold: %v", err)
		}
	})
}

func TestLossIsToldOnceAndFirst(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		var traced []locker.LostReason
		a := s.openPushing(t, locker.WithTrace(&locker.Trace{
			Lost: func(e *locker.LostError) { traced = append(traced, e.Reason) },
		}))
		lock := must(t, a, "x")
		id := s.claims("x")[0]
		calls := make(chan error, 2)
		stop := locker.AfterLoss(lock, func(err error) { calls <- err })
		s.sink.Gone(id, locker.LostBroken, nil)
		s.sink.Gone(id, locker.LostEvicted, nil)
		synctest.Wait()
		if len(traced) != 1 || traced[0] != locker.LostBroken || len(calls) != 1 || stop() || !ended(lock) {
			t.Fatalf("traced %v, %d calls", traced, len(calls))
		}
		cctx, cancel := locker.Context(ctx, lock)
		defer cancel()
		if !errors.Is(context.Cause(cctx), locker.ErrLost) {
			t.Fatal(context.Cause(cctx))
		}
	})
}

func TestReleaseOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		a := s.open(t)

		lock := must(t, a, "x")
		if err := lock.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if err := lock.Release(ctx); !errors.Is(err, locker.ErrReleased) || !errors.Is(lock.Err(), locker.ErrReleased) {
			t.Fatalf("second Release: %v, Err: %v", err, lock.Err())
		}

		// The answer is lost: the hold lasted to the end, the retry succeeds.
		lock = must(t, a, "x")
		lose := true
		s.onAfter(func(op, _ string) error {
			if op == "release" && lose {
				lose = false
				return errNet
			}
			return nil
		})
		if err := lock.Release(ctx); !errors.Is(err, locker.ErrUnavailable) || errors.Is(err, locker.ErrLost) {
			t.Fatalf("Release without an answer: %v", err)
		}
		next := must(t, a, "x")
		if err := lock.Release(ctx); err != nil {
			t.Fatalf("retried Release: %v", err)
		}
		if err := lock.Release(ctx); !errors.Is(err, locker.ErrReleased) {
			t.Fatalf("Release after the retry: %v", err)
		}
		if err := next.Err(); err != nil || len(s.claims("x")) != 1 {
			t.Fatalf("the newer hold: %v", err)
		}

		// The first answer finds it gone.
		s.mu.Lock()
		s.remove("x", s.queues["x"][0].c.ID)
		s.mu.Unlock()
		if err := next.Release(ctx); !errors.Is(err, locker.ErrLost) {
			t.Fatalf("Release of an evicted hold: %v", err)
		}

		// Under a context that has ended.
		lock = must(t, a, "x")
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := lock.Release(gone); err != nil || len(s.claims("x")) != 0 {
			t.Fatalf("Release under an ended context: %v", err)
		}
	})
}

func TestReleaseOfASilentServerIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		lock := must(t, s.open(t), "x", locker.WithTTL(30*time.Second))
		s.silence("release")
		start := time.Now()
		released := make(chan error, 1)
		cctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		go func() { released <- lock.Release(cctx) }()
		synctest.Wait()
		if !ended(lock) || !errors.Is(lock.Err(), locker.ErrReleased) {
			t.Fatal("Done is open while the server is asked")
		}
		err := <-released
		if !errors.Is(err, locker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, locker.ErrLost) {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 1200*time.Millisecond {
			t.Fatalf("Release took %v", took)
		}
		time.Sleep(31 * time.Second)
		if ids := s.claims("x"); len(ids) != 0 {
			t.Fatalf("renewed after its release: %v", ids)
		}
	})
}

// A cut of half a TTL, whenever it begins, costs no hold.
func TestHoldOutlivesACutOfHalfATTL(t *testing.T) {
	const ttl = 12 * time.Second
	for begin := time.Duration(0); begin < ttl; begin += 500 * time.Millisecond {
		bubble(t, func(t *testing.T, ctx context.Context) {
			s := newServer()
			lock := must(t, s.open(t), "x", locker.WithTTL(ttl))
			time.Sleep(ttl + begin)
			s.silence("renew")
			time.Sleep(ttl / 2)
			s.silence("")
			time.Sleep(2 * ttl)
			if err := lock.Err(); err != nil {
				t.Fatalf("cut at %v: %v", begin, err)
			}
		})
	}
}

func TestRenewalsPerTTL(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		a := s.open(t)
		for i := range 1000 {
			must(t, a, fmt.Sprint(i), locker.WithTTL(time.Minute))
		}
		before := s.count("renew")
		time.Sleep(10 * time.Minute)
		if n := s.count("renew") - before; n < 29 || n > 40 {
			t.Fatalf("%d renewals in ten TTLs for 1,000 holds", n)
		}
	})
}

// A renewal of a waiter that is answered after the waiter was granted the name
// says "queued", which is about the past.
func TestGrantPushedWhileARenewalIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		a, b := s.open(t), s.openPushing(t)
		hold := must(t, a, "x", locker.WithTTL(time.Hour))
		w := background(func() (locker.Lock, error) { return b.Acquire(ctx, "x", locker.WithTTL(9*time.Second)) })
		synctest.Wait()
		s.onAfter(func(op, _ string) error {
			if op == "renew" {
				time.Sleep(time.Second) // after it was carried out
			}
			return nil
		})
		time.Sleep(3 * time.Second)
		if err := hold.Release(ctx); err != nil {
			t.Fatal(err)
		}
		r := <-w
		if r.err != nil {
			t.Fatal(r.err)
		}
		time.Sleep(2 * time.Second)
		if err := r.lock.Release(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
