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

func TestWaitersAreServedInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b, c := newPeer(t, s, "a"), newPeer(t, s, "b"), newPeer(t, s, "c")
		first := a.holds("a1", "n")
		if ans := b.waits("b1", "n"); ans.Holder.Client != "a" || ans.Holder.Token != driver.Token(first) || ans.Waiters != 0 {
			t.Errorf("b is told %+v", ans)
		}
		if ans := c.waits("c1", "n"); ans.Waiters != 1 {
			t.Errorf("c is told of %d others in the queue, want 1", ans.Waiters)
		}
		a.waits("a2", "n") // behind the others, though a held it
		if !a.releases("a1", "n", false) {
			t.Error("a's hold was not found")
		}
		b.hears(fmt.Sprint("granted b1 ", first+1))
		b.releases("b1", "n", false)
		c.hears(fmt.Sprint("granted c1 ", first+2))
		c.releases("c1", "n", false)
		a.hears(fmt.Sprint("granted a2 ", first+3))
		a.releases("a2", "n", false)
		if a.releases("a2", "n", false) {
			t.Error("a hold was found twice")
		}
		for _, p := range []*peer{a, b, c} {
			p.hears()
			p.leaves()
		}
		empty(t, s)
	})
}

func TestClaimIsIdempotent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b, c := newPeer(t, s, "a"), newPeer(t, s, "b"), newPeer(t, s, "c")
		tenure := a.holds("a1", "n")
		b.waits("b1", "n")
		c.waits("c1", "n")

		// A hold that is claimed again is the same hold, even by a try.
		again := a.request("a1", "n")
		again.Try = true
		if ans := a.claims(again); ans.State != driver.Held || ans.Tenure != tenure {
			t.Errorf("repeated: %+v, want it held with tenure %d", ans, tenure)
		}

		// A waiter keeps its place when it changes who it waits for.
		changed := b.request("b1", "n")
		changed.Owner, changed.Metadata, changed.TTL = "other", "text", 2*ttl
		if ans := b.claims(changed); ans.State != driver.Queued || ans.TTL != 2*ttl {
			t.Errorf("changed: %+v, want it queued for %v", ans, 2*ttl)
		}
		st, err := a.Inspect(t.Context(), "n")
		if err != nil || st.WaiterCount != 2 || len(st.Waiters) != 2 || st.Waiters[0].Owner != "other" || st.Waiters[0].Metadata != "text" {
			t.Errorf("Inspect = %+v, %v", st, err)
		}
		time.Sleep(ttl - 1)
		a.releases("a1", "n", false)
		b.hears(fmt.Sprint("granted b1 ", tenure+1))
		st, err = a.Inspect(t.Context(), "n")
		if err != nil || st.Holder.Remaining != ttl+1 {
			t.Errorf("the changed claim holds for %v more (%v), want %v", st.Holder.Remaining, err, ttl+1)
		}
	})
}

func TestRepeatedClaimNeverShortensALease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
		a.holds("a1", "n")
		b.waits("b1", "n")
		// The answer to this may be lost, and then b counts on what it had.
		short := b.request("b1", "n")
		short.TTL = time.Second
		b.claims(short)
		a.releases("a1", "n", false)
		time.Sleep(ttl - 1)
		b.hears("granted b1 2")
		time.Sleep(1 * time.Nanosecond)
		b.hears("gone b1 expired")
	})
}

func TestTryWritesNothingWhenRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
		try := b.request("b1", "n")
		try.Try = true

		tenure := a.holds("a1", "n")
		before := s.Residue()
		ans := b.claims(try)
		if ans.State != driver.Refused || ans.Holder.Client != "a" || ans.Holder.Token != driver.Token(tenure) {
			t.Errorf("a try of a held name: %+v", ans)
		}
		if after := s.Residue(); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("a refused try changed the server from %q to %q", before, after)
		}
		a.waits("a2", "n")
		if ans := b.claims(try); ans.State != driver.Refused || ans.Waiters != 1 {
			t.Errorf("a try of a name with a queue: %+v", ans)
		}
		a.releases("a2", "n", false)
		a.releases("a1", "n", false)
		if ans := b.claims(try); ans.State != driver.Held {
			t.Errorf("a try of a free name: %+v", ans)
		}
	})
}

func TestTenuresGrowOverEveryEndOfAHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		var last uint64
		next := func(how string, end func(id string, tenure uint64)) {
			id := "id-" + how
			tenure := a.holds(id, "n")
			if tenure <= last {
				t.Errorf("tenure %d after %d, before %s", tenure, last, how)
			}
			last = tenure
			end(id, tenure)
		}
		next("release", func(id string, _ uint64) { a.releases(id, "n", false) })
		next("expiry", func(string, uint64) { time.Sleep(ttl) })
		next("break", func(_ string, tenure uint64) {
			if err := a.Break(t.Context(), "n", tenure); err != nil {
				t.Errorf("Break: %v", err)
			}
		})
		next("eviction", func(string, uint64) {
			if err := s.Evict("n"); err != nil {
				t.Errorf("Evict: %v", err)
			}
		})
		next("removal of everything", func(id string, _ uint64) {
			a.releases(id, "n", false)
			a.leaves()
			empty(t, s)
			a = newPeer(t, s, "a")
		})
		next("end", func(string, uint64) {})
	})
}

func TestBreak(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b, op := newPeer(t, s, "a"), newPeer(t, s, "b"), newPeer(t, s, "operator")
		first := a.holds("a1", "n")
		b.waits("b1", "n")
		for _, wrong := range []uint64{0, first + 1} {
			if err := op.Break(t.Context(), "n", wrong); !errors.Is(err, locker.ErrNotHeld) {
				t.Errorf("breaking tenure %d: %v, want ErrNotHeld", wrong, err)
			}
		}
		if err := op.Break(t.Context(), "n", first); err != nil {
			t.Errorf("Break: %v", err)
		}
		a.hears("gone a1 broken")
		b.hears("granted b1 2")
		if err := op.Break(t.Context(), "n", first); !errors.Is(err, locker.ErrNotHeld) {
			t.Errorf("a late break: %v, want ErrNotHeld", err)
		}
		b.hears()
	})
}

func TestAHolderThatMissedTheNoticeIsToldWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		a.holds("a1", "n")
		time.Sleep(ttl / 2)
		(&Client{server: s, link: a.link}).Cut(Down)
		if err := s.Evict("n"); err != nil {
			t.Fatal(err)
		}
		(&Client{server: s, link: a.link}).Heal()
		a.hears()
		if ans := a.renews("a1", "n", driver.Gone); ans.Reason != locker.LostEvicted {
			t.Errorf("the reason is %v, want %v", ans.Reason, locker.LostEvicted)
		}
		// It is remembered until the lease would have ended, and no longer.
		time.Sleep(ttl / 2)
		if ans := a.renews("a1", "n", driver.Gone); ans.Reason != 0 {
			t.Errorf("the reason is still told: %v", ans.Reason)
		}
		// A claim that came back and was released was not evicted.
		a.holds("a1", "n")
		if err := s.Evict("n"); err != nil {
			t.Fatal(err)
		}
		a.hears("gone a1 evicted")
		a.holds("a1", "n")
		a.releases("a1", "n", false)
		if ans := a.renews("a1", "n", driver.Gone); ans.Reason != 0 {
			t.Errorf("the reason of an earlier hold is told: %v", ans.Reason)
		}
		time.Sleep(ttl)
		synctest.Wait()
		a.leaves()
		empty(t, s)
	})
}

func TestEvictOfAFreeName(t *testing.T) {
	s := NewServer()
	if err := s.Evict("n"); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("Evict = %v, want ErrNotHeld", err)
	}
	if err := s.Evict(""); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("Evict of no name = %v, want ErrInvalid", err)
	}
}

func TestTTLFloor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		c := a.request("a1", "n")
		c.TTL = 1
		if ans := a.claims(c); ans.TTL != time.Millisecond {
			t.Errorf("granted %v, want %v", ans.TTL, time.Millisecond)
		}
	})
}

func TestInspectAndList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, s, "b")
		if _, err := a.Inspect(t.Context(), "n"); !errors.Is(err, locker.ErrNotHeld) {
			t.Errorf("Inspect of a free name: %v, want ErrNotHeld", err)
		}
		tenure := a.holds("a1", "job/2")
		a.holds("a2", "job/1")
		a.holds("a3", "other")
		start := time.Now()
		time.Sleep(time.Second)
		b.waits("b1", "job/2")

		st, err := b.Inspect(t.Context(), "job/2")
		want := locker.Holder{Client: "a", Token: driver.Token(tenure), Since: start, Remaining: ttl - time.Second}
		if err != nil || st.Name != "job/2" || st.Holder != want || st.WaiterCount != 1 {
			t.Errorf("Inspect = %+v, %v; want holder %+v", st, err, want)
		}
		var names []string
		for st, err := range b.List(t.Context(), "job/") {
			if err != nil || st.Waiters != nil {
				t.Errorf("List: %+v, %v", st, err)
			}
			names = append(names, fmt.Sprint(st.Name, ":", st.WaiterCount))
		}
		if fmt.Sprint(names) != "[job/1:0 job/2:1]" {
			t.Errorf("List gives %v", names)
		}
		for range b.List(t.Context(), "") {
			break // a caller may stop early
		}
	})
}

func TestNothingIsKeptOfNamesThatAreNotUsed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		for i := range 10_000 {
			id, name := fmt.Sprint("id-", i), fmt.Sprint("name-", i)
			a.holds(id, name)
			a.releases(id, name, false)
		}
		a.leaves()
		empty(t, s)
	})
}
