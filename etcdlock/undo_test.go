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
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

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

// With the quota exhausted etcd refuses puts, and deletes still work.
func TestUndoWithoutSpace(t *testing.T) {
	g := &gate{}
	b, _ := open(t, prefix(t), Lease, connect(t, g.option()))
	must(t, b, claimOf("warm", "m"), driver.Held)
	g.set(func(method string, req any, send func() error) error {
		txn, ok := req.(*pb.TxnRequest)
		if !ok {
			return send()
		}
		for _, op := range txn.Success {
			if op.GetRequestPut() != nil {
				if strings.Contains(string(op.GetRequestPut().Key), "//v1/") {
					_ = send() // carried out before the quota was exhausted
					return status.Error(codes.Unavailable, "the answer was lost")
				}
				return rpctypes.ErrGRPCNoSpace
			}
		}
		return send()
	})
	if _, err := b.Claim(testContext(t), claimOf("a", "n")); !errors.Is(err, locker.ErrUnavailable) {
		t.Fatal(err)
	}
	found, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n"}, Uncertain: true})
	if err != nil || !found {
		t.Fatalf("Release: %v, %v", found, err)
	}
	if _, err := b.Inspect(testContext(t), "n"); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("Inspect: %v", err)
	}
	g.set(func(method string, _ any, send func() error) error {
		if strings.HasSuffix(method, "/Txn") {
			return rpctypes.ErrGRPCNoSpace
		}
		return send()
	})
	if _, err := b.Claim(testContext(t), claimOf("b", "n")); err == nil || errors.Is(err, locker.ErrUnavailable) || !strings.Contains(err.Error(), "defragment") {
		t.Errorf("a full server is final and says what to do: %v", err)
	}
}
