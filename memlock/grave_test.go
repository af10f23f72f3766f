package memlock

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker/driver"
)

// send sends a request without waiting for its answer.
func send[R any](f func() (R, error)) <-chan R {
	answer := make(chan R, 1)
	go func() {
		if r, err := f(); err == nil {
			answer <- r
		}
		close(answer)
	}()
	synctest.Wait() // it is on its way
	return answer
}

func TestALateClaimComesToNothingAfterItsUndo(t *testing.T) {
	// The claim travels for as long as a claim can and still be of use.
	for _, travel := range []time.Duration{1, ttl / 2, ttl - 1, ttl, 3 * ttl} {
		t.Run(travel.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := NewServer()
				a := newPeer(t, s, "a")
				c := &Client{server: s, link: a.link}

				c.Delay(Up, travel)
				answer := send(func() (driver.Answer, error) { return a.Claim(t.Context(), a.request("a1", "n")) })
				c.Heal()
				if a.releases("a1", "n", true) {
					t.Error("the claim was there before it arrived")
				}
				if ans, ok := <-answer; !ok || ans.State != driver.Gone {
					t.Errorf("the late claim was answered %+v, want gone", ans)
				}
				if st, err := a.Inspect(t.Context(), "n"); err == nil {
					t.Errorf("the late claim made %+v", st)
				}
				time.Sleep(ttl)
				synctest.Wait()
				a.leaves()
				empty(t, s)
			})
		})
	}
}

func TestAnUncertainReleaseFreesWhatIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
		a.holds("a1", "n")
		b.waits("b1", "n")
		if !a.releases("a1", "n", true) {
			t.Error("the claim was not found")
		}
		b.hears("granted b1 2")
		if ans := a.claims(a.request("a1", "n")); ans.State != driver.Gone {
			t.Errorf("a repeated claim behind its undo: %+v, want gone", ans)
		}
		if ans := a.waits("a2", "n"); ans.Holder.Client != "b" {
			t.Errorf("another claim of the same client: %+v", ans)
		}
	})
}

func TestTombstonesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
		for i := range 1000 {
			a.releases(fmt.Sprint("a", i), fmt.Sprint("name-", i), true)
		}
		b.releases("b1", "name-1", true)
		if n := len(s.Residue()); n != 1000+1+2 {
			t.Errorf("%d lines of residue, want the tombstones and two clients", n)
		}
		a.leaves() // nothing that it sent can arrive any more
		if n := len(s.Residue()); n != 1+1 {
			t.Errorf("%d lines of residue after the client closed, want 2: %q", n, s.Residue())
		}
		time.Sleep(ttl)
		synctest.Wait()
		b.leaves()
		empty(t, s)
	})
}

func TestAClaimThatArrivesAfterCloseComesToNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		(&Client{server: s, link: a.link}).Delay(Up, time.Second)
		answer := send(func() (driver.Answer, error) { return a.Claim(t.Context(), a.request("a1", "n")) })
		a.leaves()
		if ans, ok := <-answer; ok {
			t.Errorf("answered %+v over a closed link", ans)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		empty(t, s)
		// The same without a fault, for a claim that is under way in another
		// goroutine while the client closes.
		if ans := s.claim(a.link, a.request("a2", "n"), 0); ans.State != driver.Gone {
			t.Errorf("the server let a closed client in: %+v", ans)
		}
		s.release(a.link, undo("a2", "n", true))
		empty(t, s)
	})
}
