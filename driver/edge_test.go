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

// A client sleeps through a hold that was pushed to it, queues up again under
// the same ID, and only then reads the push.
func TestPushOfAHoldThatIsOverIsNotBelieved(t *testing.T) {
	for _, early := range []bool{false, true} {
		bubble(t, func(t *testing.T, ctx context.Context) {
			s := newServer()
			s.quiet = true
			hold := must(t, s.open(t), "x", locker.WithTTL(time.Hour))
			l := s.openPushing(t)
			w := background(func() (locker.Lock, error) { return l.Acquire(ctx, "x", locker.WithTTL(2*time.Second)) })
			synctest.Wait()
			id := s.claims("x")[1]
			s.silence("renew")
			s.mu.Lock()
			s.before = func(op, _ string) error {
				if op == "claim" {
					return errNet // asleep
				}
				return nil
			}
			s.mu.Unlock()
			release(t, hold)
			s.mu.Lock()
			stale := s.queues["x"][0].tenure
			s.mu.Unlock()
			time.Sleep(3 * time.Second)
			next := s.connect(t, client{s})
			s.onBefore(nil)
			s.mu.Lock()
			s.sweep()
			s.mu.Unlock()
			other, err := next.TryAcquire(ctx, "x", locker.WithTTL(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if early {
				s.sink.Granted(id, stale)
			}
			time.Sleep(2 * time.Second) // it queues up again
			s.sink.Granted(id, stale)
			time.Sleep(time.Second)
			select {
			case r := <-w:
				t.Fatalf("a hold that is over was returned: %v, %v, while another holds token %d", r.lock, r.err, other.Token())
			default:
			}
			s.silence("")
			release(t, other)
			s.mu.Lock()
			s.quiet = false
			s.mu.Unlock()
			if r := <-w; r.err != nil || r.lock.Token() <= other.Token() {
				t.Fatalf("the waiter got %v", r.err)
			}
		})
	}
}
