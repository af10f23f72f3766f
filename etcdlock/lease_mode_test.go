package etcdlock

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"go.etcd.io/etcd/api/v3/mvccpb"
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

// Validity counts on the clock that sees a suspended machine, and a lease that
// is past it is never renewed or used again.
func TestSuspendedClientDropsItsLease(t *testing.T) {
	keys, err := newKeyspace(prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	clock := driver.SystemClock()
	sinceBoot := clock.SinceBoot
	var jump atomic.Int64
	clock.SinceBoot = func() time.Duration { return sinceBoot() + time.Duration(jump.Load()) }
	client := connect(t)
	b := newBackend(client, keys, clock, slog.New(slog.DiscardHandler), false)
	defer b.Close(testContext(t))
	c := claimOf("a", "n")
	a := must(t, b, c, driver.Held)
	old := b.claims["a"].lease.id
	jump.Store(int64(a.TTL))
	got, err := b.Renew(testContext(t), []driver.Ref{refOf(c, a)})
	if err != nil || got[0].State != driver.Gone || got[0].Reason != locker.LostExpired {
		t.Fatalf("Renew: %+v, %v", got, err)
	}
	next := must(t, b, claimOf("b", "m"), driver.Held)
	if age := clock.SinceBoot() - next.From; age > time.Second {
		t.Errorf("the new claim counts from %v ago", age)
	}
	if now := b.claims["b"].lease.id; now == old {
		t.Error("the old lease was used again")
	}
	b.leasesSettled(t)
	if ttl, err := client.TimeToLive(testContext(t), old); err != nil || ttl.TTL > 0 {
		t.Errorf("the old lease lives on: %+v, %v", ttl, err)
	}
}

func TestOldLeaseIsRenewedBeforeAClaim(t *testing.T) {
	keys, err := newKeyspace(prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	clock := driver.SystemClock()
	sinceBoot := clock.SinceBoot
	var jump atomic.Int64
	clock.SinceBoot = func() time.Duration { return sinceBoot() + time.Duration(jump.Load()) }
	b := newBackend(connect(t), keys, clock, slog.New(slog.DiscardHandler), false)
	defer b.Close(testContext(t))
	first := must(t, b, claimOf("a", "n"), driver.Held)
	second := must(t, b, claimOf("b", "m"), driver.Held)
	if second.From != first.From {
		t.Errorf("a fresh lease was renewed: from %v to %v", first.From, second.From)
	}
	jump.Store(int64(first.TTL * 6 / 10))
	third := must(t, b, claimOf("c", "o"), driver.Held)
	if age := clock.SinceBoot() - third.From; age > time.Second {
		t.Errorf("the claim counts from %v ago", age)
	}
	if b.claims["a"].lease != b.claims["c"].lease {
		t.Error("two leases for one TTL")
	}
}

// A client that was cut off loses its place, and queues up again. What its watch
// then tells of the place that it had must not be taken for the new one.
func TestLateNewsOfAnEarlierPlace(t *testing.T) {
	client := connect(t)
	tb, p := open(t, prefix(t), Lease, client)
	b := tb.(*backend)
	must(t, b, claimOf("a", "n"), driver.Held)
	must(t, b, claimOf("w", "n"), driver.Queued)

	b.mu.Lock()
	c, q := b.claims["w"], b.queues["n"]
	front := b.claims["a"]
	rev := c.create
	b.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); ; {
		b.mu.Lock()
		known := q.waiters["w"] != nil && q.waiters["w"].known
		b.mu.Unlock()
		if known {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of the waiter is not known")
		}
		runtime.Gosched()
	}
	// The answer to its repeated claim: its key is gone.
	if _, again, err := b.claimAnswered(c, c.lease, queueView{}, view{}, "", false, nil); !again || err != nil {
		t.Fatalf("the claim is not made again: %v", err)
	}
	q.deleted([]*clientv3.Event{{
		Type: clientv3.EventTypeDelete,
		Kv:   &mvccpb.KeyValue{Key: []byte(front.key), ModRevision: rev + 1},
	}})
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, pushed := p.find("granted", "w"); c.held || pushed {
		t.Fatal("it was granted the name, though it stands behind others now")
	}
}
