package memlock

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

func TestAHoldExpiresWhenItsTTLIsOverAndNotBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
		tenure := a.holds("a1", "n")
		time.Sleep(time.Second)
		b.waits("b1", "n")
		time.Sleep(ttl - time.Second - 1)
		b.hears()
		time.Sleep(1 * time.Nanosecond)
		b.hears(fmt.Sprint("granted b1 ", tenure+1))
		a.hears("gone a1 expired")
		a.renews("a1", "n", driver.Gone)
		b.renews("b1", "n", driver.Held)
	})
}

func TestRenewSetsTheLeaseAndNeverAddsToIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		a.holds("a1", "n")
		for range 100 {
			time.Sleep(ttl / 3)
			a.renews("a1", "n", driver.Held)
			a.renews("a1", "n", driver.Held)
		}
		time.Sleep(ttl - 1)
		a.hears()
		time.Sleep(1 * time.Nanosecond)
		a.hears("gone a1 expired")
	})
}

func TestRenewNeverShortens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		a.holds("a1", "n")
		if _, err := a.Renew(t.Context(), []driver.Ref{{ID: "a1", Name: "n", TTL: time.Second}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl - 1)
		a.renews("a1", "n", driver.Held)
	})
}

func TestRenewExtendsOnlyItsOwnClaimAndBringsNoneBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
		a.holds("a1", "n")
		time.Sleep(ttl)
		b.holds("b1", "n")
		for range 3 {
			time.Sleep(ttl / 4)
			a.renews("a1", "n", driver.Gone)
		}
		time.Sleep(ttl / 4)
		b.hears("gone b1 expired")
		a.hears("gone a1 expired")
		a.renews("a1", "n", driver.Gone)
	})
}

func TestRenewAnswersForEachClaimInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		held := a.holds("a1", "n")
		a.waits("a2", "n")
		answers, err := a.Renew(t.Context(), []driver.Ref{
			{ID: "nobody", Name: "elsewhere", TTL: ttl},
			{ID: "a2", Name: "n", TTL: ttl},
			{ID: "a1", Name: "n", TTL: ttl, Tenure: held},
		})
		if err != nil || len(answers) != 3 ||
			answers[0].State != driver.Gone || answers[1].State != driver.Queued ||
			answers[2].State != driver.Held || answers[2].Tenure != held {
			t.Errorf("Renew = %+v, %v", answers, err)
		}
	})
}

func TestADeadWaiterIsSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, dead, b := newPeer(t, s, "a"), newPeer(t, s, "dead"), newPeer(t, s, "b")
		a.holds("a1", "n")
		dead.waits("d1", "n")
		b.waits("b1", "n")
		for range 5 {
			time.Sleep(ttl / 3)
			a.renews("a1", "n", driver.Held)
			b.renews("b1", "n", driver.Queued)
		}
		dead.hears("gone d1 expired")
		a.releases("a1", "n", false)
		b.hears("granted b1 2")
	})
}

// A claim, a release and a renewal that come at the very instant of a deadline
// must not depend on whether the timer was first.
func TestWhatComesAtTheDeadlineItself(t *testing.T) {
	for _, timerFirst := range []bool{false, true} {
		for what, ask := range map[string]func(a, b *peer){
			"claim": func(_, b *peer) { b.holds("b1", "n") },
			"renew": func(a, _ *peer) { a.renews("a1", "n", driver.Gone) },
			"evict": func(a, _ *peer) {
				if err := a.server.Evict("n"); !errors.Is(err, locker.ErrNotHeld) {
					a.t.Errorf("Evict = %v, want ErrNotHeld", err)
				}
			},
			"inspect": func(_, b *peer) {
				if st, err := b.Inspect(b.t.Context(), "n"); !errors.Is(err, locker.ErrNotHeld) {
					b.t.Errorf("Inspect = %+v, %v, want ErrNotHeld", st, err)
				}
			},
		} {
			t.Run(fmt.Sprint(what, " timerFirst=", timerFirst), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := NewServer()
					a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
					a.holds("a1", "n")
					if !timerFirst {
						// What the timer would do, without the timer.
						sh := s.shard("n")
						sh.lock()
						sh.timer.Stop()
						sh.unlock()
					}
					time.Sleep(ttl)
					synctest.Wait()
					ask(a, b)
					a.hears("gone a1 expired")
				})
			})
		}
	}
}

// A release at the very instant at which the next waiter dies.
func TestAReleaseSkipsAWaiterWhoseTimerIsLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, dead, b := newPeer(t, s, "a"), newPeer(t, s, "dead"), newPeer(t, s, "b")
		long := a.request("a1", "n")
		long.TTL = 2 * ttl
		a.claims(long)
		dead.waits("d1", "n")
		long = b.request("b1", "n")
		long.TTL = 2 * ttl
		b.claims(long)
		sh := s.shard("n")
		sh.lock()
		sh.timer.Stop()
		sh.unlock()
		time.Sleep(ttl)
		a.releases("a1", "n", false)
		dead.hears("gone d1 expired")
		b.hears("granted b1 2")
	})
}

func TestAnEarlierDeadlineMovesTheTimer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		for i, d := range []time.Duration{ttl, ttl / 2, ttl / 4, 2 * ttl} {
			c := a.request(fmt.Sprint("a", i), "n")
			c.TTL = d
			a.claims(c)
		}
		time.Sleep(ttl / 4)
		a.hears("gone a2 expired")
		time.Sleep(ttl / 4)
		a.hears("gone a1 expired")
		time.Sleep(ttl / 2)
		a.hears("gone a0 expired", "granted a3 2")
		time.Sleep(ttl)
		a.hears("gone a3 expired")
		a.leaves()
		empty(t, s)
	})
}
