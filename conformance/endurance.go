package conformance

import (
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

func enduranceChecks() []Check {
	return []Check{
		{ID: "X6", Class: Required, Set: Faults, Within: 20, body: x6, Needs: []Power{PowerCluster},
			Rule: "Clients at different members of a cluster exclude each other."},
		{ID: "F7", Class: Required, Set: Faults, Within: 120, body: f7, Needs: []Power{PowerFlush},
			Rule: "Tokens go on increasing when all data is deleted after very many quick holds."},
		{ID: "H5", Class: Required, Set: Faults, Within: 60, body: h5, Needs: []Power{PowerStock},
			Rule: "Very many names, each held once, cost the server nothing for long."},
	}
}

// f7: a counter that follows the clock too coarsely has run ahead of it by
// then, and falls back behind its own past when it is lost.
func f7(t *trial) {
	a := t.open("A")
	n := t.rounds(60_000, 60_000)
	last := uint64(0)
	began := time.Now()
	for i := range n {
		lock, err := a.Acquire(t.ctx, "f7", locker.WithTTL(t.ttl()))
		if err != nil {
			t.broken("a free name is acquired at once", "hold %d: %v", i+1, err)
		}
		if lock.Token() <= last {
			t.never("tokens strictly increase", "hold %d had token %d after %d", i+1, lock.Token(), last)
		}
		last = lock.Token()
		if err := lock.Release(t.ctx); err != nil {
			t.broken("Release of a live hold returns nil", "hold %d: %v", i+1, err)
		}
	}
	took := time.Since(began)
	t.step("%d holds in %s, the last with token %d", n, short(took), last)
	t.power("flush", t.rig.(Flusher).FlushAll(t.ctx))
	t.fault("all data is deleted")
	h := a.free("f7")
	if h.Token() <= last {
		t.never("tokens increase after all data was deleted", "%d followed %d", h.Token(), last)
	}
	h.drop()
	t.measured("%d holds, %.1f per ms", n, float64(n)/float64(took.Milliseconds()+1))
}

func h5(t *trial) {
	stock := t.rig.(Stocktaker)
	const hands = 32
	n := t.rounds(10_000, 10_000)
	a := t.open("A")
	a.free("h5 warm").drop()
	t.sleep(t.freed(t.ttl()))
	before, err := stock.Stock(t.ctx)
	t.power("count what is on the server", err)
	var next counter
	t.each(hands, func(int) {
		for i := next.add(1); i <= int64(n); i = next.add(1) {
			lock, err := a.Acquire(t.ctx, fmt.Sprintf("h5 %d", i), locker.WithTTL(t.ttl()))
			if err != nil {
				t.broken("a free name is acquired at once", "name %d: %v", i, err)
			}
			if i == int64(n)/2 {
				now, err := stock.Stock(t.ctx)
				t.power("count what is on the server", err)
				t.need(now > before, "the rig counts nothing while a lock is held")
			}
			if err := lock.Release(t.ctx); err != nil {
				t.broken("Release of a live hold returns nil", "name %d: %v", i, err)
			}
		}
	})
	peak, err := stock.Stock(t.ctx)
	t.power("count what is on the server", err)
	t.step("%d names are held once; then the server keeps %d things, before it were %d", n, peak, before)
	began := time.Now()
	limit := 4*t.ttl() + t.profile.Slack + 2*time.Second
	for {
		now, err := stock.Stock(t.ctx)
		t.power("count what is on the server", err)
		if now <= before+n/1000 {
			t.measured("%d names, clean after %s", n, short(time.Since(began)))
			return
		}
		if time.Since(began) > limit {
			t.broken("what the names cost the server is gone after a few TTLs", "%d things were left after %s, %d before", now, short(limit), before)
		}
		t.sleep(t.ttl() / 10)
	}
}
