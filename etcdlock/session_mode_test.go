package etcdlock

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestSessionClaimIsIdempotent(t *testing.T) {
	b, _ := open(t, prefix(t), Session, connect(t))
	c := claimOf("a", "n")
	first := must(t, b, c, driver.Held)
	if first.Tenure == 0 || first.TTL != 10*time.Second || first.From == 0 {
		t.Errorf("incomplete answer %+v", first)
	}
	if again := must(t, b, c, driver.Held); again.Tenure != first.Tenure {
		t.Errorf("tenure %d when repeated, was %d", again.Tenure, first.Tenure)
	}
	w := claimOf("b", "n")
	a := must(t, b, w, driver.Queued)
	if a.Holder.Token != driver.Token(first.Tenure) {
		t.Errorf("the waiter is told of %+v", a.Holder)
	}
	must(t, b, w, driver.Queued)
	try := claimOf("c", "n")
	try.Try = true
	if a := must(t, b, try, driver.Refused); a.Holder.Token != driver.Token(first.Tenure) {
		t.Errorf("the try is told of %+v", a.Holder)
	}
	if st, err := b.Inspect(testContext(t), "n"); err != nil || st.WaiterCount != 1 {
		t.Errorf("Inspect: %+v, %v", st, err)
	}
}

// Both modes wait in the same queue.
func TestModesExcludeEachOther(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	type member struct {
		b testBackend
		p *pushes
	}
	var clients []member
	for _, mode := range []Mode{Lease, Session, Session, Lease} {
		b, p := open(t, pfx, mode, client)
		clients = append(clients, member{b, p})
	}
	const n = 12
	for i := range n {
		want := driver.Queued
		if i == 0 {
			want = driver.Held
		}
		must(t, clients[i%4].b, claimOf(fmt.Sprintf("c%d", i), "n"), want)
	}
	for i, m := range clients {
		try := claimOf(fmt.Sprintf("try%d", i), "n")
		try.Try = true
		must(t, m.b, try, driver.Refused)
	}
	var last uint64
	for i := range n {
		m, id := clients[i%4], fmt.Sprintf("c%d", i)
		tenure := uint64(0)
		if i > 0 {
			tenure = m.p.wait(t, "granted", id).tenure
			if tenure <= last {
				t.Fatalf("claim %d got tenure %d after %d", i, tenure, last)
			}
		}
		last = tenure
		for j := i + 1; j < n; j++ {
			if _, early := clients[j%4].p.find("granted", fmt.Sprintf("c%d", j)); early {
				t.Fatalf("claim %d was granted before %d left", j, i)
			}
		}
		found, err := m.b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: id, Name: "n", Tenure: tenure}})
		if err != nil || !found {
			t.Fatalf("Release(%s): %v, %v", id, found, err)
		}
	}
}

func TestSessionUndo(t *testing.T) {
	t.Run("before a late claim", func(t *testing.T) {
		g := &gate{}
		b, _ := open(t, prefix(t), Session, connect(t, g.option()))
		arrive, carriedOut := make(chan struct{}), make(chan error, 1)
		var once sync.Once
		g.set(func(method string, _ any, send func() error) error {
			late := false
			if strings.HasSuffix(method, "/Txn") {
				once.Do(func() { late = true })
			}
			if !late {
				return send()
			}
			go func() { <-arrive; carriedOut <- send() }()
			return status.Error(codes.Unavailable, "no answer")
		})
		c := claimOf("a", "n")
		if _, err := b.Claim(testContext(t), c); !errors.Is(err, locker.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		if _, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n"}, Uncertain: true}); err != nil {
			t.Fatal(err)
		}
		close(arrive)
		if err := <-carriedOut; !isLeaseGone(err) {
			t.Errorf("the late claim: %v, want that its lease is gone", err)
		}
		must(t, b, claimOf("b", "n"), driver.Held)
	})
	t.Run("after an unlock whose answer was lost", func(t *testing.T) {
		g := &gate{}
		b, _ := open(t, prefix(t), Session, connect(t, g.option()))
		a := must(t, b, claimOf("a", "n"), driver.Held)
		g.set(func(method string, _ any, send func() error) error {
			if strings.HasSuffix(method, "/DeleteRange") {
				_ = send()
				return status.Error(codes.Unavailable, "the answer was lost")
			}
			return send()
		})
		r := driver.Release{Ref: driver.Ref{ID: "a", Name: "n", Tenure: a.Tenure}}
		if _, err := b.Release(testContext(t), r); err != nil {
			t.Fatal(err)
		}
		g.set(nil)
		next := must(t, b, claimOf("b", "n"), driver.Held)
		if found, err := b.Release(testContext(t), r); err != nil || found {
			t.Errorf("the retried Release: %v, %v", found, err)
		}
		if st, err := b.Inspect(testContext(t), "n"); err != nil || st.Holder.Token != driver.Token(next.Tenure) {
			t.Errorf("the next hold: %+v, %v", st, err)
		}
	})
}

func TestSessionCancelledWaiterLeavesNothing(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b, _ := open(t, pfx, Session, client)
	must(t, b, claimOf("a", "n"), driver.Held)
	for i := range 5 {
		c := claimOf(fmt.Sprintf("w%d", i), "n")
		must(t, b, c, driver.Queued)
		if found, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: c.ID, Name: "n"}}); err != nil || !found {
			t.Fatalf("Release: %v, %v", found, err)
		}
	}
	if keys := keysOf(t, client, pfx); len(keys) != 1 {
		t.Errorf("keys %q", keys)
	}
	s := b.(*sessionBackend)
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	if n := len(s.leases.all); n != 2 {
		t.Errorf("%d leases, want one held and one idle", n)
	}
}

func TestSessionLoss(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b, p := open(t, pfx, Session, connect(t))
	other, po := open(t, pfx, Lease, connect(t))
	c := claimOf("a", "n")
	a := must(t, b, c, driver.Held)
	ref := refOf(c, a)
	if got, err := b.Renew(testContext(t), []driver.Ref{ref}); err != nil || got[0].State != driver.Held {
		t.Fatalf("Renew: %+v, %v", got, err)
	}
	must(t, other, claimOf("o", "n"), driver.Queued)
	if err := other.Break(testContext(t), "n", a.Tenure); err != nil {
		t.Fatal(err)
	}
	po.wait(t, "granted", "o")
	if got, err := b.Renew(testContext(t), []driver.Ref{ref}); err != nil || got[0].State != driver.Gone {
		t.Errorf("Renew after Break: %+v, %v", got, err)
	}
	if found, err := b.Release(testContext(t), driver.Release{Ref: ref}); err != nil || found {
		t.Errorf("Release after Break: %v, %v", found, err)
	}

	// A waiter whose lease is revoked does not wait on for its predecessor.
	w := claimOf("w", "n")
	w.TTL = 2 * time.Second
	must(t, b, w, driver.Queued)
	if _, err := client.Revoke(testContext(t), b.(*sessionBackend).claims["w"].hold.lease.id); err != nil {
		t.Fatal(err)
	}
	p.wait(t, "gone", "w")
}

func TestSessionCloseLeavesNothing(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b, _ := open(t, pfx, Session, connect(t))
	other, po := open(t, pfx, Session, connect(t))
	must(t, b, claimOf("a", "n"), driver.Held)
	must(t, other, claimOf("b", "n"), driver.Queued)
	must(t, b, claimOf("c", "n"), driver.Queued)
	s := b.(*sessionBackend)
	var ids []clientv3.LeaseID
	for id := range s.leases.all {
		ids = append(ids, id)
	}
	if err := b.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	po.wait(t, "granted", "b")
	if err := other.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, client, pfx); len(keys) > 0 {
		t.Errorf("keys are left: %q", keys)
	}
	for _, id := range ids {
		if ttl, err := client.TimeToLive(testContext(t), id); err != nil || ttl.TTL > 0 {
			t.Errorf("lease %x is left: %+v, %v", id, ttl, err)
		}
	}
}

// A renewal that finds the key gone because it is being released must not give
// up the lease that the next claim is about to use.
func TestSessionRenewalBesideRelease(t *testing.T) {
	b, _ := open(t, prefix(t), Session, connect(t))
	for i := range 100 {
		c := claimOf(fmt.Sprintf("c%d", i), "n")
		a := must(t, b, c, driver.Held)
		ref := driver.Ref{ID: c.ID, Name: c.Name, TTL: a.TTL, Tenure: a.Tenure}
		var both sync.WaitGroup
		for range 3 {
			both.Go(func() { _, _ = b.Renew(testContext(t), []driver.Ref{ref}) })
		}
		var found bool
		var err error
		both.Go(func() { found, err = b.Release(testContext(t), driver.Release{Ref: ref}) })
		both.Wait()
		if err != nil || !found {
			t.Fatalf("round %d: the release found the claim: %t, %v", i, found, err)
		}
	}
}
