package driver_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

func TestReleaseAfterCloseOfAReleasedHold(t *testing.T) {
	s := newServer()
	l := s.open(t)
	lock := must(t, l, "x")
	release(t, lock)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(t.Context()); !errors.Is(err, locker.ErrReleased) {
		t.Fatal(err)
	}
}

func TestReleaseMatchesTheErrorOfItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		lock := must(t, s.open(t), "x")
		s.once("release")
		cause := errors.New("shutting down")
		ended, cancel := context.WithCancelCause(ctx)
		cancel(cause)
		err := lock.Release(ended)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || !errors.Is(err, locker.ErrUnavailable) {
			t.Fatal(err)
		}
	})
}

func TestClaimThatIsGoneIsNotRenewed(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		must(t, s.open(t), "x", locker.WithTTL(time.Hour))
		l := s.open(t)
		wctx, cancel := context.WithCancel(ctx)
		w := background(func() (locker.Lock, error) { return l.Acquire(wctx, "x") })
		time.Sleep(time.Second)
		s.onBefore(func(op, _ string) error {
			switch op {
			case "claim":
				time.Sleep(9 * time.Second)
			case "renew":
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		ids := s.claims("x")
		time.Sleep(time.Second)
		s.mu.Lock()
		s.remove("x", ids[1])
		s.mu.Unlock()
		before := s.count("renew")
		time.Sleep(8 * time.Second)
		if n := s.count("renew") - before; n > 10 {
			t.Fatalf("%d renewals in 8 s", n)
		}
		s.onBefore(nil)
		cancel()
		<-w
	})
}

// The news that a claim is gone may be older than the claim.
func TestLossByNoticeLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		lock := must(t, s.openPushing(t), "x", locker.WithTTL(10*time.Minute))
		s.sink.Gone(s.claims("x")[0], locker.LostEvicted, nil)
		<-lock.Done()
		synctest.Wait()
		if ids := s.claims("x"); len(ids) != 0 {
			t.Fatalf("left on the server: %v", ids)
		}
	})
}

func TestTryBesideItsOwnUndoIsNotHeld(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		l := s.open(t)
		s.onAfter(func(op, _ string) error {
			if op == "claim" {
				return errNet
			}
			return nil
		})
		brief, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		if _, err := l.Acquire(brief, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		s.onAfter(nil)
		s.slowly("release", 10*time.Millisecond)
		if _, err := l.TryAcquire(ctx, "x"); err != nil {
			t.Fatalf("nobody holds it: %v", err)
		}
	})
}

func TestPushedGrantIsTakenThoughTheClaimHangs(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		hold := must(t, s.open(t), "x")
		l := s.openPushing(t)
		s.swallowAnswers("claim")
		w := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x") })
		synctest.Wait()
		s.swallowAnswers("")
		release(t, hold)
		began := time.Now()
		r := <-w
		if took := time.Since(began); r.err != nil || took > time.Second {
			t.Fatalf("after %v: %v", took, r.err)
		}
	})
}

// deaf ignores the context of Release, which a Backend must not do.
type deaf struct {
	client
	end <-chan struct{}
}

func (c deaf) Release(context.Context, driver.Release) (bool, error) {
	<-c.end
	return false, errNet
}

func TestCloseIsBoundedWhateverTheBackendDoes(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		end := make(chan struct{})
		l := newServer().connect(t, deaf{client{newServer()}, end})
		must(t, l, "x")
		began := time.Now()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > closeBound {
			t.Fatalf("Close took %v", took)
		}
		close(end)
	})
}

const closeBound = 7 * time.Second

// forgetful drops every claim.
type forgetful struct{ client }

func (c forgetful) Claim(context.Context, driver.Claim) (driver.Answer, error) {
	return driver.Answer{State: driver.Gone}, nil
}

func TestTryAtAServerThatDropsEveryClaim(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		l := s.connect(t, forgetful{client{s}})
		began := time.Now()
		_, err := l.TryAcquire(ctx, "x")
		if took := time.Since(began); !errors.Is(err, locker.ErrUnavailable) || took > 12*time.Second {
			t.Fatalf("after %v: %v", took, err)
		}
	})
}

// Tries against a dead server leave undos behind, which must not become a storm.
func TestUndosOfAnOutageAreFew(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		l := s.open(t)
		var undos atomic.Int64
		s.onBefore(func(op, _ string) error {
			if op == "release" {
				undos.Add(1)
			}
			return errNet
		})
		for range 100 {
			_, _ = l.TryAcquire(ctx, "x", locker.WithTTL(time.Minute))
		}
		time.Sleep(30 * time.Second)
		before := undos.Load()
		time.Sleep(20 * time.Second)
		if n := undos.Load() - before; n > 500 {
			t.Fatalf("%d requests in 20 s for 100 claims", n)
		}
		s.onBefore(nil)
	})
}
