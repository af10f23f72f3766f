package memlock

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// faulty returns a peer and the Client that disturbs it.
func faulty(t *testing.T, s *Server, name string) (*peer, *Client) {
	p := newPeer(t, s, name)
	return p, &Client{server: s, link: p.link}
}

// timesOut checks that a claim is unanswered until its context ends.
func (p *peer) timesOut(id, lock string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	ans, err := p.Claim(ctx, p.request(id, lock))
	if !errors.Is(err, locker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || ans != (driver.Answer{}) {
		p.t.Errorf("Claim = %+v, %v; want ErrUnavailable with the cause", ans, err)
	}
	if took := time.Since(start); took != time.Second {
		p.t.Errorf("Claim came back after %v, want to wait for its context, %v", took, time.Second)
	}
}

func (p *peer) isHeldBy(lock, client string) {
	p.t.Helper()
	got := ""
	if st, err := p.server.inspect(lock); err == nil {
		got = st.Holder.Client
	}
	if got != client {
		p.t.Errorf("%q is held by %q, want %q", lock, got, client)
	}
}

func TestCutUpLosesRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		b.holds("b1", "m")
		a.waits("a0", "m")
		link.Cut(Up)
		a.timesOut("a1", "n")
		a.isHeldBy("n", "")
		b.releases("b1", "m", false)
		a.hears("granted a0 2") // the other half works

		link.Heal()
		synctest.Wait()
		a.isHeldBy("n", "") // what was held back does not arrive
		a.holds("a1", "n")
		if n := s.Requests(); n != 5 {
			t.Errorf("%d requests counted, want 5, the lost one included", n)
		}
	})
}

func TestCutDownLosesAnswersAndPushes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		b.holds("b1", "m")
		a.waits("a0", "m")
		link.Cut(Down)
		a.timesOut("a1", "n")
		a.isHeldBy("n", "a")
		b.releases("b1", "m", false)
		link.Heal()
		a.hears()
		a.renews("a0", "m", driver.Held)
	})
}

func TestCutBoth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		link.Cut(Both)
		a.timesOut("a1", "n")
		a.isHeldBy("n", "")
	})
}

func TestACutLosesWhatIsOnItsWay(t *testing.T) {
	for _, d := range []Direction{Up, Down} {
		bubble(t, func(t *testing.T) {
			s := NewServer()
			a, link := faulty(t, s, "a")
			link.Delay(d, ttl/2)
			answer := send(func() (driver.Answer, error) {
				ctx, cancel := context.WithTimeout(t.Context(), ttl)
				defer cancel()
				return a.Claim(ctx, a.request("a1", "n"))
			})
			link.Cut(d)
			link.Heal()
			if ans, ok := <-answer; ok {
				t.Errorf("direction %d: answered %+v after a cut", d, ans)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		link.Delay(Up, time.Second)
		link.Delay(Down, 2*time.Second)
		start := time.Now()
		a.holds("a1", "n")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("the answer took %v, want 3s", took)
		}
		// The lease counts from when the server carried the request out.
		time.Sleep(ttl - 2*time.Second - 1)
		a.isHeldBy("n", "a")
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		a.isHeldBy("n", "")
		a.hears() // on its way
		time.Sleep(2 * time.Second)
		a.hears("gone a1 expired")

		link.Heal()
		start = time.Now()
		a.holds("a2", "n")
		b.waits("b1", "n")
		if took := time.Since(start); took != 0 {
			t.Errorf("the answer took %v after Heal", took)
		}
	})
}

// A caller gives up, and its request arrives nevertheless.
func TestADelayedRequestOutlivesItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		link.Delay(Up, 2*time.Second)
		a.timesOut("a1", "n")
		a.isHeldBy("n", "")
		time.Sleep(time.Second)
		synctest.Wait()
		a.isHeldBy("n", "a")
	})
}

func TestPushesKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		b.holds("b1", "n")
		a.waits("a1", "n")
		link.Delay(Down, 2*time.Second)
		b.releases("b1", "n", false)
		time.Sleep(time.Second)
		link.Delay(Down, time.Millisecond) // would overtake
		if err := s.Evict("n"); err != nil {
			t.Fatal(err)
		}
		a.hears()
		time.Sleep(time.Second)
		a.hears("granted a1 2", "gone a1 evicted")
		link.Heal()
		a.holds("a2", "n")
		if err := s.Evict("n"); err != nil {
			t.Fatal(err)
		}
		a.hears("gone a2 evicted") // nothing before it: at once again
	})
}

func TestDropReplies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		link.DropReplies(2)
		for i := range 2 {
			id := fmt.Sprint("a", i)
			if ans, err := a.Claim(t.Context(), a.request(id, id)); !errors.Is(err, locker.ErrUnavailable) || ans != (driver.Answer{}) {
				t.Errorf("Claim = %+v, %v; want ErrUnavailable", ans, err)
			}
			a.isHeldBy(id, "a")
		}
		a.holds("a2", "a2")
		if a.link.disturbed.Load() {
			t.Error("the link is still slow when no fault is left")
		}
		link.DropReplies(1)
		link.DropReplies(0)
		a.holds("a3", "a3")
	})
}

func TestAnEndedContextSendsNothing(t *testing.T) {
	s := NewServer()
	a := newPeer(t, s, "a")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if _, err := a.Claim(ctx, a.request("a1", "n")); !errors.Is(err, why) {
		t.Errorf("Claim = %v, want the cause of the context", err)
	}
	if n := s.Requests(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	a.isHeldBy("n", "")
}

func TestCrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, client := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		a.holds("a1", "n")
		b.holds("b1", "m")
		a.waits("a2", "m")
		client.Delay(Up, time.Second)
		underWay := send(func() (driver.Answer, error) { return a.Claim(t.Context(), a.request("a3", "o")) })
		start := time.Now()

		client.Crash()
		client.Crash()
		if ans, ok := <-underWay; ok {
			t.Errorf("a request that was under way was answered %+v", ans)
		}
		a.hears("ask a1", "ask a2")
		before := s.Requests()
		if found, err := a.Release(t.Context(), undo("a1", "n", true)); found || !errors.Is(err, locker.ErrClosed) || errors.Is(err, locker.ErrUnavailable) {
			t.Errorf("Release of a crashed client = %v, %v; want a final error", found, err)
		}
		if s.Requests() != before {
			t.Error("a crashed client sent a request")
		}
		a.isHeldBy("n", "a")
		time.Sleep(ttl - 1 - time.Since(start))
		synctest.Wait()
		a.isHeldBy("n", "a")
		b.renews("b1", "m", driver.Held)
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		a.isHeldBy("n", "")
		a.isHeldBy("o", "")
		a.hears()
		a.leaves()
		b.releases("b1", "m", false)
		b.leaves()
		empty(t, s)
	})
}

func TestSend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		_, client := faulty(t, s, "a")
		called := 0
		if err := client.Send(t.Context(), func() { called++ }); err != nil || called != 1 {
			t.Errorf("Send = %v, called %d times", err, called)
		}
		client.DropReplies(1)
		if err := client.Send(t.Context(), func() { called++ }); !errors.Is(err, locker.ErrUnavailable) || called != 2 {
			t.Errorf("Send with a lost answer = %v, called %d times", err, called)
		}
		client.Cut(Up)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := client.Send(ctx, func() { called++ }); !errors.Is(err, locker.ErrUnavailable) || called != 2 {
			t.Errorf("Send over a cut = %v, called %d times", err, called)
		}
		client.Heal()
		client.Crash()
		if err := client.Send(t.Context(), func() { called++ }); !errors.Is(err, locker.ErrClosed) || called != 2 {
			t.Errorf("Send of a crashed client = %v, called %d times", err, called)
		}
	})
}
