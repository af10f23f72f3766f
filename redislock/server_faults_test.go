package redislock

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker/driver"
)

func TestScriptFlush(t *testing.T) {
	address := startServer(t)
	a := connect(t, address, newPrefix())
	flush := func() {
		t.Helper()
		if err := a.client.ScriptFlush(testContext(t)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	held := a.hold("n", "a")
	flush()
	if got := a.renew(held)[0]; got.State != driver.Held {
		t.Errorf("renewal after SCRIPT FLUSH: %+v", got)
	}
	flush()
	if _, err := a.Inspect(testContext(t), "n"); err != nil {
		t.Error(err)
	}
	flush()
	if !a.release(held) {
		t.Error("release after SCRIPT FLUSH: not found")
	}
}

func TestKilledSubscriptionIsReplaced(t *testing.T) {
	address := startServer(t)
	prefix := newPrefix()
	a, b := connect(t, address, prefix), connect(t, address, prefix)
	held := a.hold("n", "a")
	b.subscribed()
	b.queue("n", "b", time.Minute)
	for round := range 3 {
		confirmed := b.listener.confirmed.Load()
		if n, err := a.client.ClientKillByFilter(testContext(t), "TYPE", "pubsub").Result(); err != nil || n == 0 {
			t.Fatalf("killed %d subscriptions: %v", n, err)
		}
		eventually(t, "the subscription is confirmed again", func() bool { return b.listener.confirmed.Load() > confirmed })
		if got := b.await("ask"); got.id != "b" {
			t.Fatalf("round %d: asked about %+v, want b", round, got)
		}
	}
	a.release(held)
	if got := b.await("granted"); got.id != "b" {
		t.Errorf("granted %+v", got)
	}
}

// A grant in the moment without a subscription is not pushed. The question that
// follows the new subscription finds it.
func TestGrantIsFoundAfterTheFirstSubscription(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	held := a.hold("n", "a")
	if b.listener.started {
		t.Fatal("subscribed without a reason")
	}
	b.queue("n", "b", time.Minute) // begins to subscribe
	a.release(held)                // perhaps before that is in place
	b.await("ask")
	if got := b.claim(driver.Claim{ID: "b", Name: "n"}); got.State != driver.Held {
		t.Errorf("the claim then says %+v", got)
	}
}

func TestTenureGrowsOverLossOfAllData(t *testing.T) {
	address := startServer(t)
	a := connect(t, address, newPrefix())
	grants := 60_000
	if testing.Short() {
		grants = 2_000
	}
	// In batches on one connection: as fast as the server can.
	k := keysOf(a.prefix, "n")
	var last int64
	ctx := testContext(t)
	if err := a.client.ScriptLoad(ctx, claimScript.source).Err(); err != nil {
		t.Fatal(err)
	}
	if err := a.client.ScriptLoad(ctx, releaseScript.source).Err(); err != nil {
		t.Fatal(err)
	}
	for done := 0; done < grants; {
		pipe := a.client.Pipeline()
		var claims []*call
		for range 500 {
			id := "c-" + strconv.Itoa(done)
			claim := claimScript.call(append(k.queue(), k.undo(id)), id, 60_000, "wait", "", "{}")
			claims = append(claims, claim)
			_ = pipe.Process(ctx, claim)
			_ = pipe.Process(ctx, releaseScript.call(append(k.queue(), k.undo(id)), id, 0))
			done++
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		for _, c := range claims {
			tenure := newReply(c.Val()).number(1)
			if tenure <= last {
				t.Fatalf("tenure %d after %d", tenure, last)
			}
			last = tenure
		}
	}
	if err := a.client.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if got := a.hold("n", "after"); got.Tenure <= uint64(last) {
		t.Errorf("after FLUSHALL the tenure is %d, before it was %d", got.Tenure, last)
	}
}

func TestTenureGoesOnFromTheCounter(t *testing.T) {
	a := connect(t, testAddress(t), newPrefix())
	k := keysOf(a.prefix, "n")
	// Far ahead of the clock and too large for Lua's own way of writing numbers.
	const ahead = uint64(driver.MaxTenure - 5)
	if err := a.client.Set(testContext(t), k.tenure(), ahead, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	held := a.hold("n", "a")
	if held.Tenure != ahead+1 {
		t.Fatalf("tenure %d after %d", held.Tenure, ahead)
	}
	for key, field := range map[string]string{k.hold(): "tenure", k.tenure(): ""} {
		var got string
		if field == "" {
			got = a.client.Get(testContext(t), key).Val()
		} else {
			got = a.client.HGet(testContext(t), key, field).Val()
		}
		if want := strconv.FormatUint(ahead+1, 10); got != want {
			t.Errorf("%s holds %q, want %q", key, got, want)
		}
	}
	// The counter must stay until the clock has passed it: years, here.
	if left := a.client.PTTL(testContext(t), k.tenure()).Val(); left < 365*24*time.Hour {
		t.Errorf("the counter, which is years ahead of the clock, expires in %v", left)
	}
	a.release(held)
	if got := a.hold("n", "b"); got.Tenure != ahead+2 {
		t.Errorf("the next tenure is %d", got.Tenure)
	}

	if err := a.client.Set(testContext(t), keysOf(a.prefix, "full").tenure(), driver.MaxTenure, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Claim(testContext(t), driver.Claim{ID: "x", Name: "full", TTL: time.Minute}); err == nil || !strings.Contains(err.Error(), "2069") {
		t.Errorf("a claim beyond the last tenure: %v", err)
	}
	// Years of expiry are not to stay on the server of somebody else.
	a.client.Del(testContext(t), k.tenure(), k.hold())
}

func TestEverythingExpires(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	for i := range 200 {
		name := fmt.Sprintf("n-%d", i)
		a.claim(driver.Claim{ID: "a", Name: name, TTL: minTTL})
		b.claim(driver.Claim{ID: "b", Name: name, TTL: minTTL})
		if _, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "u", Name: name, TTL: minTTL}, Uncertain: true}); err != nil {
			t.Fatal(err)
		}
	}
	if len(keysUnder(t, a.client, prefix)) == 0 {
		t.Fatal("nothing was there in the first place")
	}
	for _, key := range keysUnder(t, a.client, prefix) {
		if left := a.client.PTTL(testContext(t), key).Val(); left == -1 {
			t.Errorf("%s does not expire", key)
		}
	}
	eventually(t, "every key is gone", func() bool { return len(keysUnder(t, a.client, prefix)) == 0 })
}

func TestCommandsPerCycle(t *testing.T) {
	address := startServer(t)
	a := connect(t, address, newPrefix())
	a.release(a.hold("n", "warm")) // loads the scripts, opens the connection
	watcher := newClient(t, address)
	calls(t, watcher)

	const cycles = 50
	before := calls(t, watcher)
	for i := range cycles {
		a.release(a.hold("n", "c-"+strconv.Itoa(i)))
	}
	after := calls(t, watcher)
	sent := after["evalsha"] - before["evalsha"]
	if sent != 2*cycles {
		t.Errorf("%d cycles took %d scripts, want 2 each", cycles, sent)
	}
	for _, name := range []string{"eval", "subscribe", "ping", "hello", "client", "script"} {
		if n := after[name] - before[name]; n != 0 {
			t.Errorf("%d cycles took %d × %s", cycles, n, name)
		}
	}

	refs := make([]driver.Ref, 1000)
	for i := range refs {
		refs[i] = a.hold("held-"+strconv.Itoa(i), "h-"+strconv.Itoa(i))
	}
	a.subscribed()
	before = calls(t, watcher)
	for i, got := range a.renew(refs...) {
		if got.State != driver.Held || got.Tenure != refs[i].Tenure {
			t.Fatalf("renewal of %s: %+v", refs[i].ID, got)
		}
	}
	after = calls(t, watcher)
	if n := after["evalsha"] + after["eval"] - before["evalsha"] - before["eval"]; n > 2 { // the first time with the source
		t.Errorf("the renewal of 1,000 holds took %d scripts", n)
	}
	before = after
	a.renew(refs...)
	after = calls(t, watcher)
	if n := after["evalsha"] - before["evalsha"]; n != 1 {
		t.Errorf("the renewal of 1,000 holds took %d scripts, want 1", n)
	}
}
