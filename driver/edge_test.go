package driver_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// slowly delays an op before it is carried out.
func (s *server) slowly(slow string, d time.Duration) {
	s.onBefore(func(op, _ string) error {
		if op == slow {
			time.Sleep(d)
		}
		return nil
	})
}

// once fails the next request of an op, and no other.
func (s *server) once(fail string) {
	var failed atomic.Bool
	s.onBefore(func(op, _ string) error {
		if op == fail && failed.CompareAndSwap(false, true) {
			return errNet
		}
		return nil
	})
}

func release(t *testing.T, lock locker.Lock) {
	t.Helper()
	if err := lock.Release(t.Context()); err != nil {
		t.Fatalf("Release: %v", err)
	}
}

// leaser is a client whose renewals never shorten a lease, as the real ones do.
type leaser struct{ client }

func (c leaser) Push(to driver.Sink) { c.s.sink = to }

func (c leaser) Renew(ctx context.Context, claims []driver.Ref) (answers []driver.Answer, err error) {
	err = c.s.call(ctx, "renew", "", func() {
		for _, r := range claims {
			ans, h := c.s.stand(r.Name, r.ID)
			if ends := time.Now().Add(r.TTL); h != nil && ends.After(h.ends) {
				h.ends = ends
			}
			answers = append(answers, ans)
		}
	})
	return answers, err
}

// The heir of a waiting claim asks for a longer TTL, and is answered late.
// Renewals with the shorter one, which the server took meanwhile, must not be
// counted with the longer one.
func TestDeadlineOfAnInheritedTicketWithAnotherTTL(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		hold := must(t, s.open(t), "x", locker.WithTTL(time.Hour))
		l := s.connect(t, leaser{client{s}})
		short, cancel := context.WithCancel(ctx)
		head := background(func() (locker.Lock, error) { return l.Acquire(short, "x", locker.WithTTL(2*time.Second)) })
		synctest.Wait()
		heir := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x", locker.WithTTL(15*time.Second)) })
		synctest.Wait()
		s.onAfter(func(op, _ string) error {
			if op == "claim" {
				time.Sleep(9 * time.Second)
			}
			return nil
		})
		cancel()
		<-head
		time.Sleep(8500 * time.Millisecond)
		release(t, hold)
		r := <-heir
		if r.err != nil {
			t.Fatal(r.err)
		}
		s.mu.Lock()
		ends := s.queues["x"][0].ends
		s.mu.Unlock()
		if late := r.lock.Deadline().Sub(ends); late > 0 {
			t.Fatalf("the holder is certain until %v after the server has given the name away", late)
		}
	})
}

// hanger keeps a count of what hangs on a context.
type hanger struct {
	context.Context
	done chan struct{}
	n    *atomic.Int64
}

func (c hanger) Done() <-chan struct{} { return c.done }

func (c hanger) AfterFunc(func()) func() bool {
	c.n.Add(1)
	var once sync.Once
	return func() bool {
		once.Do(func() { c.n.Add(-1) })
		return true
	}
}

// listening is a client that asks for Done, as those of real servers do.
type listening struct{ client }

func (c listening) Claim(ctx context.Context, r driver.Claim) (driver.Answer, error) {
	_ = ctx.Done()
	return c.client.Claim(ctx, r)
}

func TestRequestsLeaveNothingOnTheCallersContext(t *testing.T) {
	s := newServer()
	l := s.connect(t, listening{client{s}})
	ctx := hanger{context.Background(), make(chan struct{}), new(atomic.Int64)}
	for range 100 {
		lock, err := l.Acquire(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		release(t, lock)
	}
	if n := ctx.n.Load(); n != 0 {
		t.Fatalf("%d functions hang on the context of the caller", n)
	}
}

// Silence counts from when the server was first asked, not from the call.
func TestOneResetAfterALongWaitIsNoOutage(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		bubble(t, func(t *testing.T, ctx context.Context) {
			s := newServer()
			l := s.open(t)
			hold := must(t, l, "x")
			w := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x") })
			time.Sleep(time.Minute)
			s.once("claim")
			release(t, hold)
			if r := <-w; r.err != nil {
				t.Fatal(r.err)
			}
		})
	})
	t.Run("rejoined", func(t *testing.T) {
		bubble(t, func(t *testing.T, ctx context.Context) {
			s := newServer()
			hold := must(t, s.open(t), "x")
			l := s.openPushing(t)
			w := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x") })
			time.Sleep(time.Minute)
			s.once("claim")
			ids := s.claims("x")
			s.mu.Lock()
			s.remove("x", ids[1])
			s.mu.Unlock()
			time.Sleep(20 * time.Second)
			release(t, hold)
			if r := <-w; r.err != nil {
				t.Fatal(r.err)
			}
		})
	})
}

func TestNoPatienceBehindALocalRival(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		l := s.open(t)
		s.slowly("claim", 100*time.Millisecond)
		first := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x") })
		synctest.Wait()
		began := time.Now()
		_, err := l.Acquire(ctx, "x", locker.WithMaxWait(0))
		if !errors.Is(err, locker.ErrHeld) || time.Since(began) > time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		<-first
	})
}

func TestPatienceThatEndsDuringALocalRelease(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		l := s.open(t)
		lock := must(t, l, "x")
		s.slowly("release", 500*time.Millisecond)
		w := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x", locker.WithMaxWait(time.Second)) })
		time.Sleep(800 * time.Millisecond)
		release(t, lock)
		if r := <-w; !errors.Is(r.err, locker.ErrHeld) {
			t.Fatal(r.err)
		}
	})
}

func TestTryIsBoundedAlsoBehindAnother(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		l := s.open(t)
		s.silence("claim")
		first, cancel := context.WithCancel(ctx)
		one := background(func() (locker.Lock, error) { return l.TryAcquire(first, "x") })
		synctest.Wait()
		began := time.Now()
		two := background(func() (locker.Lock, error) { return l.TryAcquire(ctx, "x") })
		time.Sleep(9 * time.Second)
		cancel()
		<-one
		r := <-two
		if took := time.Since(began); !errors.Is(r.err, locker.ErrUnavailable) || took > 11*time.Second {
			t.Fatalf("after %v: %v", took, r.err)
		}
	})
}

func TestSilenceIsBoundedByTheTTL(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		s.silence("claim")
		began := time.Now()
		_, err := s.open(t).Acquire(ctx, "x", locker.WithTTL(11*time.Second))
		if took := time.Since(began); !errors.Is(err, locker.ErrUnavailable) || took > 12*time.Second {
			t.Fatalf("after %v: %v", took, err)
		}
	})
}

// opaque answers the end of its context with an error of its own, which a
// Backend may.
type opaque struct{ client }

func (c opaque) Claim(ctx context.Context, r driver.Claim) (driver.Answer, error) {
	a, err := c.client.Claim(ctx, r)
	if ctx.Err() != nil {
		return a, errors.New("query canceled")
	}
	return a, err
}

func TestAnyErrorAtTheEndOfARequestIsUnavailable(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		s := newServer()
		l := s.connect(t, opaque{client{s}})
		s.silence("claim")
		if _, err := l.TryAcquire(ctx, "x"); !errors.Is(err, locker.ErrUnavailable) {
			t.Fatal(err)
		}
		w := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x", locker.WithTTL(2*time.Second)) })
		time.Sleep(3 * time.Second)
		s.silence("")
		if r := <-w; r.err != nil {
			t.Fatalf("the claim was not repeated: %v", r.err)
		}
	})
}

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
