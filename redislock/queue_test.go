package redislock

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

func TestClaimIsIdempotent(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	held := a.hold("n", "a-1")
	if again := a.hold("n", "a-1"); again != held {
		t.Errorf("the repeated claim is %+v, the first was %+v", again, held)
	}

	waiting := b.queue("n", "b-1", time.Minute)
	other := b.queue("n", "b-2", time.Minute)
	changed := b.claim(driver.Claim{ID: "b-1", Name: "n", Owner: "o2", Metadata: "m2", TTL: 2 * time.Minute})
	if changed.State != driver.Queued || changed.TTL != 2*time.Minute || changed.Waiters != 1 {
		t.Errorf("the repeated claim that waits is %+v", changed)
	}
	s, err := a.Inspect(testContext(t), "n")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Waiters) != 2 || s.Waiters[0].Owner != "o2" || s.Waiters[0].Metadata != "m2" {
		t.Errorf("after the repetition the queue is %+v, want b-1 in front, changed", s.Waiters)
	}
	b.subscribed()
	a.release(held)
	if got := b.await("granted"); got.id != waiting.ID {
		t.Errorf("%s was granted, want %s before %s", got.id, waiting.ID, other.ID)
	}
}

func TestHandoverIsPushedInOrder(t *testing.T) {
	prefix := newPrefix()
	first := connect(t, testAddress(t), prefix)
	held := first.hold("n", "first")
	last := held.Tenure
	var peers []*peer
	for i := range 5 {
		p := connect(t, testAddress(t), prefix)
		p.subscribed()
		p.queue("n", fmt.Sprintf("c-%d", i), time.Minute)
		peers = append(peers, p)
	}
	holder := first
	for i, p := range peers {
		if !holder.release(held) {
			t.Fatalf("the hold before %d was gone", i)
		}
		got := p.await("granted")
		if got.id != fmt.Sprintf("c-%d", i) || got.tenure <= last {
			t.Fatalf("hand-over %d: %+v after tenure %d", i, got, last)
		}
		last = got.tenure
		holder, held = p, driver.Ref{ID: got.id, Name: "n", TTL: time.Minute, Tenure: got.tenure}
		if a := p.renew(held)[0]; a.State != driver.Held || a.Tenure != got.tenure {
			t.Fatalf("renewal after the push: %+v", a)
		}
	}
}

func TestDeadWaiterIsSkipped(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	held := a.hold("n", "a")
	dead := b.queue("n", "dead", minTTL)
	alive := b.queue("n", "alive", time.Minute)
	b.subscribed()
	eventually(t, "the lease of the dead waiter ends", func() bool { return b.claim(driver.Claim{ID: "alive", Name: "n"}).Waiters == 0 })
	if got := b.renew(dead)[0].State; got != driver.Gone {
		t.Errorf("the renewal of the dead waiter says %v, want Gone", got)
	}
	a.release(held)
	if got := b.await("granted"); got.id != alive.ID {
		t.Errorf("%s was granted, want %s", got.id, alive.ID)
	}
}

func TestRecheckPromotesAfterExpiry(t *testing.T) {
	prefix := newPrefix()
	a, b, c := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	c.subscribed()
	b.subscribed()
	short := a.claim(driver.Claim{ID: "a", Name: "n", TTL: 300 * time.Millisecond})
	first := b.claim(driver.Claim{ID: "b", Name: "n"})
	if first.Recheck <= 0 || first.Recheck > 320*time.Millisecond {
		t.Errorf("the first in the queue rechecks after %v, want just after the 300 ms of the hold", first.Recheck)
	}
	second := c.claim(driver.Claim{ID: "c", Name: "n"})
	third := c.claim(driver.Claim{ID: "c-2", Name: "n"})
	if second.Recheck <= 0 || third.Recheck != 0 {
		t.Errorf("rechecks of second and third: %v and %v, want the second only", second.Recheck, third.Recheck)
	}

	// The second looks; the first must be told.
	time.Sleep(second.Recheck) // what the engine would do
	var stands driver.Answer
	eventually(t, "the hold expires", func() bool {
		stands = c.claim(driver.Claim{ID: "c", Name: "n"})
		return stands.Holder.Token != driver.Token(short.Tenure)
	})
	got := b.await("granted")
	if got.id != "b" || got.tenure <= short.Tenure {
		t.Errorf("pushed: %+v after tenure %d", got, short.Tenure)
	}
	if stands.State != driver.Queued || stands.Holder.Token != driver.Token(got.tenure) {
		t.Errorf("the second is told %+v, want that the first holds", stands)
	}
	if gone := a.renew(driver.Ref{ID: "a", Name: "n", TTL: short.TTL})[0]; gone.State != driver.Gone {
		t.Errorf("the renewal of the hold that ran out says %v", gone.State)
	}
}

func TestRenewalOfAWaiterPromotes(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	held := a.hold("n", "a")
	waiting := b.queue("n", "b", time.Minute)
	if got := b.renew(waiting)[0]; got.State != driver.Queued {
		t.Fatalf("while held: %+v", got)
	}
	if err := a.client.Del(testContext(t), keysOf(prefix, "n").hold()).Err(); err != nil { // evicted
		t.Fatal(err)
	}
	got := b.renew(waiting)[0]
	if got.State != driver.Held || got.Tenure <= held.Tenure {
		t.Errorf("after the eviction: %+v, the tenure before was %d", got, held.Tenure)
	}
	if late := a.renew(held)[0]; late.State != driver.Gone || late.Reason == locker.LostBroken {
		t.Errorf("the evicted holder is told %+v", late)
	}
	if a.release(held) {
		t.Error("the evicted holder released something")
	}
	if again := b.renew(driver.Ref{ID: "b", Name: "n", TTL: time.Minute, Tenure: got.Tenure})[0]; again.State != driver.Held {
		t.Errorf("the late release touched the successor: %+v", again)
	}
}

func TestGrantKeepsTheLeaseOfTheWaiter(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	held := a.hold("n", "a")
	b.queue("n", "b", 10*time.Second)
	time.Sleep(20 * time.Millisecond) // part of the lease is used up
	b.subscribed()
	a.release(held)
	b.await("granted")
	s, err := b.Inspect(testContext(t), "n")
	if err != nil {
		t.Fatal(err)
	}
	// The client counts from when it sent its claim. A full lease from the
	// grant on would let a dead waiter hold for a second TTL.
	if s.Holder.Remaining > 10*time.Second-15*time.Millisecond || s.Holder.Remaining < 5*time.Second {
		t.Errorf("the lease has %v left, want what is left of the waiter's 10 s", s.Holder.Remaining)
	}
}

func TestTryWritesNothing(t *testing.T) {
	address, prefix := startServer(t), newPrefix() // of its own, to count commands
	a, b := connect(t, address, prefix), connect(t, address, prefix)
	try := driver.Claim{ID: "try", Name: "n", Try: true, Metadata: "x"}
	held := a.hold("n", "a")
	before := calls(t, a.client)
	refused := b.claim(try)
	after := calls(t, a.client)
	if refused.State != driver.Refused || refused.Holder.Token != driver.Token(held.Tenure) {
		t.Errorf("try of a held name: %+v", refused)
	}
	for name, n := range after {
		switch name {
		case "evalsha", "time", "exists", "hmget", "zcount", "zscore", "pttl", "info", "hello":
		default:
			if n != before[name] {
				t.Errorf("a refused try made %d calls of %s", n-before[name], name)
			}
		}
	}
	if got := len(keysUnder(t, a.client, prefix)); got != 2 {
		t.Errorf("%d keys after a refused try, want the hold and the counter", got)
	}

	// A queue without a holder refuses as well.
	b.queue("n", "b", time.Minute)
	if err := a.client.Del(testContext(t), keysOf(prefix, "n").hold()).Err(); err != nil {
		t.Fatal(err)
	}
	if got := a.claim(try); got.State != driver.Refused || got.Waiters != 1 {
		t.Errorf("try of a name with a queue: %+v", got)
	}
	if got := b.claim(driver.Claim{ID: "b", Name: "n"}); got.State != driver.Held {
		t.Errorf("the waiter is then told %+v", got)
	}

	if got := a.claim(driver.Claim{ID: "free", Name: "free", Try: true}); got.State != driver.Held {
		t.Errorf("try of a free name: %+v", got)
	}
}

func TestUndoneClaimComesToNothing(t *testing.T) {
	prefix := newPrefix()
	a := connect(t, testAddress(t), prefix)
	r := driver.Release{Ref: driver.Ref{ID: "late", Name: "n", TTL: 5 * time.Second}, Uncertain: true}
	found, err := a.Release(testContext(t), r)
	if err != nil || found {
		t.Fatalf("undo of a claim that did not arrive yet: found %v, %v", found, err)
	}
	for _, try := range []bool{false, true} {
		if got := a.claim(driver.Claim{ID: "late", Name: "n", Try: try}); got.State != driver.Gone {
			t.Errorf("the late claim (try %v) is %+v, want Gone", try, got)
		}
	}
	a.hold("n", "other")
	if got := a.claim(driver.Claim{ID: "late", Name: "n"}); got.State != driver.Gone {
		t.Errorf("the late claim of a held name is %+v, want Gone", got)
	}

	// Undone while it waits, while it holds, and with an ID that begins alike.
	waiting := a.queue("n", "w-1", time.Minute)
	a.queue("n", "w-10", time.Minute)
	for range 2 {
		if _, err := a.Release(testContext(t), driver.Release{Ref: waiting, Uncertain: true}); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.claim(driver.Claim{ID: "w-10", Name: "n"}); got.State != driver.Queued || got.Waiters != 0 {
		t.Errorf("the claim with the longer ID is %+v, want alone in the queue", got)
	}
	if left, err := a.client.PTTL(testContext(t), keysOf(prefix, "n").undo("late")).Result(); err != nil || left <= 0 || left > 5*time.Second {
		t.Errorf("the mark of the undo lives for %v, want up to 5 s (%v)", left, err)
	}
}

func TestReleaseComparesTheWholeID(t *testing.T) {
	a := connect(t, testAddress(t), newPrefix())
	held := a.hold("n", "job-10")
	for _, id := range []string{"job-1", "job-1*", "job-100", ""} {
		if a.release(driver.Ref{ID: id, Name: "n", TTL: time.Second}) {
			t.Errorf("%q released job-10", id)
		}
	}
	if got := a.renew(held)[0]; got.State != driver.Held {
		t.Errorf("after that the hold is %+v", got)
	}
	if !a.release(held) || a.release(held) {
		t.Error("the first release must find the claim and the second must not")
	}
}

func TestBreak(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	held := a.hold("n", "a")
	b.queue("n", "b", time.Minute)
	a.subscribed()
	b.subscribed()
	for _, tenure := range []uint64{held.Tenure - 1, held.Tenure + 1} {
		if err := b.Break(testContext(t), "n", tenure); !errors.Is(err, locker.ErrNotHeld) {
			t.Errorf("Break of tenure %d: %v, want ErrNotHeld", tenure, err)
		}
	}
	if err := b.Break(testContext(t), "n", held.Tenure); err != nil {
		t.Fatal(err)
	}
	if got := a.await("gone"); got.id != "a" || got.reason != locker.LostBroken {
		t.Errorf("the holder was told %+v", got)
	}
	if got := b.await("granted"); got.id != "b" || got.tenure <= held.Tenure {
		t.Errorf("the waiter was told %+v", got)
	}
	// One that missed the push learns it from its renewal.
	if got := a.renew(held)[0]; got.State != driver.Gone || got.Reason != locker.LostBroken {
		t.Errorf("the renewal says %+v", got)
	}
	if err := b.Break(testContext(t), "n", held.Tenure); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("a late Break: %v, want ErrNotHeld", err)
	}
}
