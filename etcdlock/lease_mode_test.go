package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestClaimIsIdempotent(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b, _ := open(t, pfx, Lease, client)
	c := claimOf("a", "n")
	first := must(t, b, c, driver.Held)
	if first.Tenure == 0 || first.TTL != 10*time.Second || first.From == 0 {
		t.Errorf("incomplete answer %+v", first)
	}
	if again := must(t, b, c, driver.Held); again.Tenure != first.Tenure {
		t.Errorf("tenure %d when repeated, was %d", again.Tenure, first.Tenure)
	}
	c.Metadata, c.TTL = "other", 20*time.Second
	if again := must(t, b, c, driver.Held); again.Tenure != first.Tenure || again.TTL != 20*time.Second {
		t.Errorf("with another TTL: %+v, tenure was %d", again, first.Tenure)
	}
	st, err := b.Inspect(testContext(t), "n")
	if err != nil || st.Holder.Metadata != "other" || st.Holder.Token != driver.Token(first.Tenure) {
		t.Errorf("Inspect: %+v, %v", st, err)
	}
	if r := st.Holder.Remaining; r <= 10*time.Second || r > 20*time.Second {
		t.Errorf("remaining %v of 20s", r)
	}
	c.Try = true
	if again := must(t, b, c, driver.Held); again.Tenure != first.Tenure {
		t.Errorf("tried again: tenure %d, was %d", again.Tenure, first.Tenure)
	}
}

func TestLostAnswerIsFoundAgain(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%v", try), func(t *testing.T) {
			g := &gate{}
			b, _ := open(t, prefix(t), Lease, connect(t, g.option()))
			g.set(func(method string, _ any, send func() error) error {
				err := send()
				if strings.HasSuffix(method, "/Txn") {
					return status.Error(codes.Unavailable, "the answer was lost")
				}
				return err
			})
			c := claimOf("a", "n")
			c.Try = try
			if _, err := b.Claim(testContext(t), c); !errors.Is(err, locker.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			g.set(nil)
			must(t, b, c, driver.Held)
		})
	}
}

func TestTryWritesNothing(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b1, _ := open(t, pfx, Lease, client)
	b2, _ := open(t, pfx, Lease, connect(t))
	held := must(t, b1, claimOf("a", "n"), driver.Held)
	must(t, b1, claimOf("b", "n"), driver.Queued)
	must(t, b2, claimOf("warm", "other"), driver.Held) // its lease

	now, err := client.Get(testContext(t), pfx)
	if err != nil {
		t.Fatal(err)
	}
	c := claimOf("try", "n")
	c.Try = true
	a := must(t, b2, c, driver.Refused)

	// The next thing that happens under the prefix is what we do ourselves.
	if _, err := client.Put(testContext(t), pfx+"/end", ""); err != nil {
		t.Fatal(err)
	}
	events := <-client.Watch(testContext(t), pfx, clientv3.WithPrefix(), clientv3.WithRev(now.Header.Revision+1))
	if ev := events.Events[0]; string(ev.Kv.Key) != pfx+"/end" {
		t.Errorf("the try wrote %v", ev)
	}
	if a.Holder.Token != driver.Token(held.Tenure) || a.Holder.Client != "client" || a.Holder.Metadata != "meta" || a.Waiters != 1 {
		t.Errorf("the refusal tells %+v and %d waiters", a.Holder, a.Waiters)
	}
}

func TestQueueIsFIFO(t *testing.T) {
	for _, n := range []int{3, lookahead + 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			pfx := prefix(t)
			client := connect(t)
			type member struct {
				b testBackend
				p *pushes
				c driver.Claim
			}
			// Three clients take turns; each has several claims in the queue.
			var clients []member
			for range 3 {
				b, p := open(t, pfx, Lease, client)
				clients = append(clients, member{b: b, p: p})
			}
			var line []member
			for i := range n {
				m := clients[i%3]
				m.c = claimOf(fmt.Sprintf("c%d", i), "n")
				line = append(line, m)
				a, err := m.b.Claim(testContext(t), m.c)
				if err != nil {
					t.Fatal(err)
				}
				if want := map[bool]driver.State{true: driver.Held, false: driver.Queued}[i == 0]; a.State != want {
					t.Fatalf("claim %d: %+v", i, a)
				}
				if i > 0 && a.Holder.Client != "client" || i > 1 && a.Waiters != i-1 {
					t.Fatalf("claim %d is told of %+v and %d waiters", i, a.Holder, a.Waiters)
				}
			}
			var last uint64
			for i, m := range line {
				tenure := uint64(0)
				if i > 0 {
					x := m.p.wait(t, "granted", m.c.ID)
					if tenure = x.tenure; tenure <= last {
						t.Fatalf("claim %d got tenure %d after %d", i, tenure, last)
					}
					last = tenure
				}
				for _, later := range line[i+1:] {
					if _, early := later.p.find("granted", later.c.ID); early {
						t.Fatalf("%s was granted before %s left", later.c.ID, m.c.ID)
					}
				}
				if found, err := m.b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: m.c.ID, Name: "n", Tenure: tenure}}); err != nil || !found {
					t.Fatalf("Release(%s): %v, %v", m.c.ID, found, err)
				}
			}
		})
	}
}

func TestUndoBeforeLateClaim(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%v", try), func(t *testing.T) {
			pfx, g := prefix(t), &gate{}
			b, _ := open(t, pfx, Lease, connect(t, g.option()))
			must(t, b, claimOf("warm", "other"), driver.Held)

			held, carriedOut := make(chan struct{}), make(chan error, 1)
			onWay := make(chan struct{})
			var once sync.Once
			g.set(func(method string, _ any, send func() error) error {
				late := false
				once.Do(func() { late = true })
				if !late {
					return send()
				}
				// The request travels on after its caller has given up.
				close(onWay)
				go func() { <-held; carriedOut <- send() }()
				return status.Error(codes.Unavailable, "no answer")
			})
			c := claimOf("a", "n")
			c.Try = try
			if _, err := b.Claim(testContext(t), c); !errors.Is(err, locker.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			<-onWay
			found, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n", TTL: c.TTL}, Uncertain: true})
			if err != nil || found {
				t.Fatalf("Release: %v, %v", found, err)
			}
			close(held)
			if err := <-carriedOut; err != nil {
				t.Fatalf("the late claim did not reach the server: %v", err)
			}
			if _, err := b.Inspect(testContext(t), "n"); !errors.Is(err, locker.ErrNotHeld) {
				t.Errorf("after the late claim: %v, want ErrNotHeld", err)
			}
		})
	}
}

func TestUndoOfUnknownClaim(t *testing.T) {
	b, _ := open(t, prefix(t), Lease, connect(t))
	r := driver.Release{Ref: driver.Ref{ID: "a", Name: "n", TTL: 10 * time.Second}, Uncertain: true}
	if found, err := b.Release(testContext(t), r); err != nil || found {
		t.Fatalf("Release: %v, %v", found, err)
	}
	must(t, b, claimOf("a", "n"), driver.Gone)
	must(t, b, claimOf("b", "n"), driver.Held)
}

// While an undo is unanswered its lease must not be renewed, and the holds that
// share it must survive.
func TestHoldsMoveFromStuckLease(t *testing.T) {
	pfx, g, client := prefix(t), &gate{}, connect(t)
	b, p := open(t, pfx, Lease, connect(t, g.option()))
	c := claimOf("hold", "n")
	c.TTL = 3 * time.Second
	a := must(t, b, c, driver.Held)
	stuck := claimOf("stuck", "m")
	stuck.TTL = c.TTL

	var drop atomic.Bool
	drop.Store(true)
	g.set(func(method string, req any, send func() error) error {
		if txn, ok := req.(*pb.TxnRequest); ok && drop.Load() && strings.Contains(txn.String(), "stuck") {
			return status.Error(codes.Unavailable, "lost")
		}
		return send()
	})
	if _, err := b.Claim(testContext(t), stuck); !errors.Is(err, locker.ErrUnavailable) {
		t.Fatal(err)
	}
	undo := driver.Release{Ref: driver.Ref{ID: "stuck", Name: "m", TTL: c.TTL}, Uncertain: true}
	if _, err := b.Release(testContext(t), undo); !errors.Is(err, locker.ErrUnavailable) {
		t.Fatal(err)
	}

	old := b.(*backend).claims["hold"].lease.id
	tick := time.NewTicker(c.TTL / 3)
	defer tick.Stop()
	for range 6 {
		<-tick.C
		got, err := b.Renew(testContext(t), []driver.Ref{refOf(c, a)})
		if err != nil || got[0].State != driver.Held || got[0].Tenure != a.Tenure {
			t.Fatalf("Renew: %+v, %v", got, err)
		}
	}
	if now := b.(*backend).claims["hold"].lease.id; now == old {
		t.Error("the hold did not move to another lease")
	}
	if ttl, err := client.TimeToLive(testContext(t), old); err != nil || ttl.TTL > 0 {
		t.Errorf("the stuck lease lives on: %+v, %v", ttl, err)
	}
	if _, lost := p.find("gone", "hold"); lost {
		t.Error("the hold was reported lost")
	}
	st, err := b.Inspect(testContext(t), "n")
	if err != nil || st.Holder.Metadata != "meta" || st.Holder.Token != driver.Token(a.Tenure) {
		t.Errorf("after the move: %+v, %v", st, err)
	}
}

func TestUndoKeysDoNotGather(t *testing.T) {
	pfx, g, client := prefix(t), &gate{}, connect(t)
	b, _ := open(t, pfx, Lease, connect(t, g.option()))
	hold := claimOf("hold", "n")
	a := must(t, b, hold, driver.Held)
	for i := range maxUndone + 1 {
		g.set(func(string, any, func() error) error { return status.Error(codes.Unavailable, "lost") })
		c := claimOf(fmt.Sprintf("c%d", i), "m")
		if _, err := b.Claim(testContext(t), c); !errors.Is(err, locker.ErrUnavailable) {
			t.Fatal(err)
		}
		g.set(nil)
		if _, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: c.ID, Name: c.Name}, Uncertain: true}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Renew(testContext(t), []driver.Ref{refOf(hold, a)}); err != nil || got[0].State != driver.Held {
		t.Fatalf("Renew: %+v, %v", got, err)
	}
	b.(*backend).leasesSettled(t)
	if keys := keysOf(t, client, b.(*backend).keys.undo("")); len(keys) > 1 {
		t.Errorf("%d undo keys are left: %q", len(keys), keys)
	}
	must(t, b, hold, driver.Held)
}

// leasesSettled waits until the leases that were given up are revoked.
func (b *backend) leasesSettled(t *testing.T) {
	t.Helper()
	for range 200 {
		b.leases.mu.Lock()
		busy := false
		for _, l := range b.leases.all {
			busy = busy || l.revoking
		}
		b.leases.mu.Unlock()
		if !busy {
			return
		}
		time.Sleep(10 * time.Millisecond) // there is no event for the test to wait on
	}
	t.Fatal("leases are still being revoked")
}

func TestBreakIsTold(t *testing.T) {
	pfx := prefix(t)
	b1, p1 := open(t, pfx, Lease, connect(t))
	b2, p2 := open(t, pfx, Lease, connect(t))
	a := must(t, b1, claimOf("a", "n"), driver.Held)
	must(t, b2, claimOf("b", "n"), driver.Queued)
	if err := b2.Break(testContext(t), "n", a.Tenure+1); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("Break of another tenure: %v", err)
	}
	start := time.Now()
	if err := b2.Break(testContext(t), "n", a.Tenure); err != nil {
		t.Fatal(err)
	}
	x := p1.wait(t, "gone", "a")
	if x.reason != locker.LostBroken {
		t.Errorf("the reason is %v", x.reason)
	}
	if d := x.at.Sub(start); d > time.Second {
		t.Errorf("the holder was told after %v", d)
	}
	if g := p2.wait(t, "granted", "b"); g.tenure <= a.Tenure {
		t.Errorf("tenure %d after %d", g.tenure, a.Tenure)
	}
	if err := b2.Break(testContext(t), "n", a.Tenure); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("a second Break: %v", err)
	}
	if found, err := b1.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n", Tenure: a.Tenure}}); err != nil || found {
		t.Errorf("Release after Break: %v, %v", found, err)
	}
}

func TestRawDeletionIsFoundByRenew(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b, _ := open(t, pfx, Lease, connect(t))
	var refs []driver.Ref
	for i := range 130 { // more than one Txn can check
		c := claimOf(fmt.Sprintf("c%d", i), fmt.Sprintf("n%d", i))
		refs = append(refs, refOf(c, must(t, b, c, driver.Held)))
	}
	for i, r := range refs {
		if i%2 == 0 {
			if _, err := client.Delete(testContext(t), b.(*backend).keys.claim(r.Name, r.ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := b.Renew(testContext(t), refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range got {
		want := driver.Answer{State: driver.Held, Tenure: refs[i].Tenure}
		if i%2 == 0 {
			want = driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}
		}
		if a != want {
			t.Errorf("claim %d: %+v, want %+v", i, a, want)
		}
	}
}

func TestRevokedLeaseIsTold(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b, p := open(t, pfx, Lease, connect(t))
	holder, _ := open(t, pfx, Lease, connect(t))
	ha := must(t, holder, claimOf("h", "m"), driver.Held)
	c := claimOf("a", "n")
	a := must(t, b, c, driver.Held)
	must(t, b, claimOf("w", "m"), driver.Queued)
	if _, err := client.Revoke(testContext(t), b.(*backend).claims["a"].lease.id); err != nil {
		t.Fatal(err)
	}
	// The waiter learns it from its watch, at once, the holder at its renewal.
	if x := p.wait(t, "gone", "w"); x.reason != locker.LostEvicted {
		t.Errorf("the waiter's reason is %v", x.reason)
	}
	got, err := b.Renew(testContext(t), []driver.Ref{refOf(c, a)})
	if err != nil || got[0].State != driver.Gone || got[0].Reason != locker.LostEvicted {
		t.Errorf("Renew: %+v, %v", got, err)
	}
	// The client recovers by itself.
	must(t, b, claimOf("a2", "n"), driver.Held)
	must(t, b, claimOf("w2", "m"), driver.Queued)
	if _, err := holder.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "h", Name: "m", Tenure: ha.Tenure}}); err != nil {
		t.Fatal(err)
	}
	p.wait(t, "granted", "w2")
}

func TestExpiredHolderIsFollowed(t *testing.T) {
	pfx := prefix(t)
	b1, _ := open(t, pfx, Lease, connect(t))
	b2, p2 := open(t, pfx, Lease, connect(t))
	c := claimOf("a", "n")
	c.TTL = time.Millisecond
	a := must(t, b1, c, driver.Held)
	if a.TTL < time.Second {
		t.Errorf("the TTL granted is %v", a.TTL)
	}
	start := time.Now()
	must(t, b2, claimOf("b", "n"), driver.Queued)
	x := p2.wait(t, "granted", "b")
	if d := x.at.Sub(start); d > a.TTL+2*time.Second {
		t.Errorf("granted after %v with a TTL of %v", d, a.TTL)
	}
	got, err := b1.Renew(testContext(t), []driver.Ref{refOf(c, a)})
	if err != nil || got[0].State != driver.Gone || got[0].Reason != locker.LostExpired {
		t.Errorf("Renew of the expired hold: %+v, %v", got, err)
	}
}

func TestWaitSurvivesCompaction(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b1, _ := open(t, pfx, Lease, connect(t))
	b2, p2 := open(t, pfx, Lease, connect(t))
	a := must(t, b1, claimOf("a", "n"), driver.Held)
	must(t, b2, claimOf("b", "n"), driver.Queued)
	resp, err := client.Put(testContext(t), pfx+"/x", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(testContext(t), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := b1.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n", Tenure: a.Tenure}}); err != nil {
		t.Fatal(err)
	}
	p2.wait(t, "granted", "b")
}

func TestCloseLeavesNothing(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	leases := func() map[clientv3.LeaseID]bool {
		resp, err := client.Leases(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		ids := make(map[clientv3.LeaseID]bool)
		for _, l := range resp.Leases {
			ids[l.ID] = true
		}
		return ids
	}
	before := leases()
	shared := connect(t)
	b1, _ := open(t, pfx, Lease, shared)
	b2, p2 := open(t, pfx, Lease, connect(t))
	a := must(t, b2, claimOf("x", "m"), driver.Held)
	for i := range 5 {
		c := claimOf(fmt.Sprintf("c%d", i), "n")
		c.TTL = time.Duration(10+i) * time.Second
		must(t, b1, c, map[bool]driver.State{true: driver.Held, false: driver.Queued}[i == 0])
	}
	must(t, b2, claimOf("w", "n"), driver.Queued)
	if err := b1.Break(testContext(t), "m", a.Tenure); err != nil {
		t.Fatal(err)
	}
	p2.wait(t, "gone", "x")
	if err := b1.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	p2.wait(t, "granted", "w")
	if err := b2.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, client, pfx); len(keys) > 0 {
		t.Errorf("keys are left: %q", keys)
	}
	for id := range leases() {
		if !before[id] {
			t.Errorf("lease %x is left", id)
		}
	}
	if _, err := shared.Get(testContext(t), pfx); err != nil {
		t.Errorf("the caller's client was closed: %v", err)
	}
}

func TestNamesAndPrefixesDoNotMeet(t *testing.T) {
	base, client := prefix(t), connect(t)
	names := []string{
		"p", "P", "p/", "p/x", "/p", "p//x", "//v1/p", "p%2Fx", "p%", "p\x00", "p\n", "{p}", "p*", "p?", "[p]", "..", ".",
		" ", "é", "e\u0301", "\x7f", strings.Repeat("x", 511) + "a", strings.Repeat("x", 511) + "b", strings.Repeat("/", 512), "p0",
	}
	n := 0
	for _, pfx := range []string{base + "/a", base + "/a/p", base + "/ab"} {
		b, _ := open(t, pfx, Lease, client)
		seen := make(map[string]bool)
		for _, name := range names {
			c := claimOf(fmt.Sprintf("c%d", n), name)
			c.Try = n%2 == 0
			n++
			must(t, b, c, driver.Held)
		}
		for st, err := range b.List(testContext(t), "") {
			if err != nil {
				t.Fatal(err)
			}
			seen[st.Name] = true
		}
		for _, name := range names {
			if !seen[name] {
				t.Errorf("List does not show %q", name)
			}
		}
		if len(seen) != len(names) {
			t.Errorf("List shows %d names, want %d", len(seen), len(names))
		}
		var some []string
		for st, err := range b.List(testContext(t), "p/") {
			if err != nil {
				t.Fatal(err)
			}
			some = append(some, st.Name)
		}
		if len(some) != 3 {
			t.Errorf("List(\"p/\") shows %q", some)
		}
	}
}

func TestListPages(t *testing.T) {
	b, _ := open(t, prefix(t), Lease, connect(t))
	for i := range listPage/2 + 10 {
		name := fmt.Sprintf("n%d", i)
		must(t, b, claimOf(fmt.Sprintf("h%d", i), name), driver.Held)
		must(t, b, claimOf(fmt.Sprintf("a%d", i), name), driver.Queued)
	}
	n := 0
	for st, err := range b.List(testContext(t), "n") {
		if err != nil {
			t.Fatal(err)
		}
		if st.WaiterCount != 1 || st.Holder.Token == 0 || st.Waiters != nil {
			t.Errorf("%+v", st)
		}
		n++
	}
	if n != listPage/2+10 {
		t.Errorf("%d names, want %d", n, listPage/2+10)
	}
}

func TestCancelledClaimReturnsAtOnce(t *testing.T) {
	g := &gate{}
	b, _ := open(t, prefix(t), Lease, connect(t, g.option()))
	must(t, b, claimOf("warm", "m"), driver.Held)
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := b.Claim(ctx, claimOf("a", "n")); err == nil {
		t.Error("no error")
	}
	if found, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n"}, Uncertain: true}); err != nil || found {
		t.Errorf("Release: %v, %v", found, err)
	}
}

// Several clients fight over one name; what they believe must never overlap.
func TestContention(t *testing.T) {
	for _, mode := range []Mode{Lease, Session} {
		t.Run(mode.String(), func(t *testing.T) { contend(t, mode) })
	}
}

func contend(t *testing.T, mode Mode) {
	pfx, client := prefix(t), connect(t)
	const clients, rounds = 4, 40
	var inside, handovers atomic.Int32
	var last atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		b, p := open(t, pfx, mode, client)
		wg.Go(func() {
			for r := range rounds {
				c := claimOf(fmt.Sprintf("c%d-%d", i, r), "n")
				a, err := b.Claim(testContext(t), c)
				if err != nil {
					t.Error(err)
					return
				}
				tenure := a.Tenure
				if a.State == driver.Queued {
					handovers.Add(1)
					tenure = p.wait(t, "granted", c.ID).tenure
				}
				if inside.Add(1) != 1 {
					t.Error("two inside")
				}
				if prev := last.Swap(int64(tenure)); prev >= int64(tenure) {
					t.Errorf("tenure %d after %d", tenure, prev)
				}
				inside.Add(-1)
				if found, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: c.ID, Name: "n", Tenure: tenure}}); err != nil || !found {
					t.Errorf("Release: %v, %v", found, err)
				}
			}
		})
	}
	wg.Wait()
	if handovers.Load() == 0 {
		t.Error("nobody ever waited: the test showed nothing")
	}
}
