package memlock

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

func TestResetFailsWhatIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		b.holds("b1", "m")
		a.waits("a1", "m")
		link.Delay(Down, time.Second)
		failed := make(chan error, 1)
		go func() {
			_, err := a.Claim(t.Context(), a.request("a2", "n"))
			failed <- err
		}()
		synctest.Wait()
		link.Reset()
		if err := <-failed; !errors.Is(err, locker.ErrUnavailable) {
			t.Errorf("the request under way ended with %v, want ErrUnavailable", err)
		}
		a.hears("ask a1", "ask a2")
		a.isHeldBy("n", "a") // it was carried out, only its answer is lost
		link.Heal()
		a.holds("a3", "o")
	})
}

func TestHalfOpenIsNoticedByARequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		b.holds("b1", "m")
		a.waits("a1", "m")
		link.HalfOpen()
		b.releases("b1", "m", false)
		time.Sleep(time.Hour / 1000)
		a.hears() // the push is lost
		start := time.Now()
		_, err := a.Claim(t.Context(), a.request("a2", "n"))
		if took := time.Since(start); !errors.Is(err, locker.ErrUnavailable) || took != silence {
			t.Errorf("Claim on a dead connection: %v after %v, want ErrUnavailable after %v", err, took, silence)
		}
		a.isHeldBy("n", "")
		if n := link.Swallowed(); n != 2 {
			t.Errorf("%d were swallowed, want the push and the request", n)
		}
		a.hears("ask a1")
		a.holds("a2", "n")
	})
}

func TestStallDeliversLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, link := faulty(t, s, "a")
		b := newPeer(t, s, "b")
		b.holds("b1", "m")
		a.waits("a1", "m")
		link.Stall()
		answered := make(chan driver.Answer, 1)
		go func() {
			ans, err := a.Claim(t.Context(), a.request("a2", "n"))
			if err != nil {
				t.Error(err)
			}
			answered <- ans
		}()
		synctest.Wait()
		a.isHeldBy("n", "a")
		b.releases("b1", "m", false)
		select {
		case <-answered:
			t.Error("a client that reads nothing got an answer")
		case <-time.After(time.Second):
		}
		a.hears()
		link.Unstall()
		if ans := <-answered; ans.State != driver.Held {
			t.Errorf("the late answer: %+v", ans)
		}
		synctest.Wait()
		a.hears("granted a1 3")
		if n := link.Late(); n != 2 {
			t.Errorf("%d were late, want the answer and the push", n)
		}
	})
}
