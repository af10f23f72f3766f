package storm_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance/history"
	"github.com/lockerlib/locker/conformance/history/storm"
	"github.com/lockerlib/locker/memlock"
)

func direction(w storm.Way) memlock.Direction {
	return [...]memlock.Direction{memlock.Up, memlock.Down, memlock.Both}[w]
}

func ground(t *testing.T, server *memlock.Server) storm.Ground {
	client := func(l locker.Locker) *memlock.Client { return l.(*memlock.Client) }
	return storm.Ground{
		Open: func(_ context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
			c, err := server.Open(opts...)
			if err == nil {
				t.Cleanup(func() { c.Heal(); c.Close() })
			}
			return c, err
		},
		Cut:  func(l locker.Locker, w storm.Way) error { client(l).Cut(direction(w)); return nil },
		Heal: func(l locker.Locker) error { client(l).Heal(); return nil },
		Delay: func(l locker.Locker, w storm.Way, d time.Duration) error {
			client(l).Delay(direction(w), d)
			return nil
		},
		DropReplies: func(l locker.Locker, n int) error {
			client(l).DropReplies(n)
			return nil
		},
		Crash: func(l locker.Locker) error { client(l).Crash(); return nil },
		Evict: func(_ context.Context, name string) error { return server.Evict(name) },
	}
}

// A storm over memory is legal in every respect, has faults of every kind, and
// is not empty.
func TestStormOverMemory(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			h, err := storm.Run(t.Context(), ground(t, memlock.NewServer()), storm.Plan{Seed: seed, For: time.Minute, TTL: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range history.Judge(h, time.Minute) {
				if f.Outcome != history.Legal {
					t.Errorf("seed %d: %s", seed, f)
				}
			}
			if len(h.Holds) < 200 || h.Attempts["try: held"] == 0 || h.Attempts["acquire: cancelled"] == 0 {
				t.Errorf("too little happened: %d holds, %v", len(h.Holds), h.Attempts)
			}
			seen := make(map[string]bool)
			for _, f := range h.Faults {
				kind, _, _ := strings.Cut(f.Text, " ")
				seen[kind] = true
			}
			for _, kind := range []string{"link", "paused,", "crashed", "closed", "evicted", "broken", "the"} {
				if !seen[kind] {
					t.Errorf("seed %d: no fault %q", seed, kind)
				}
			}
		})
	}
}

func TestPlans(t *testing.T) {
	if _, err := storm.Run(t.Context(), storm.Ground{}, storm.Plan{}); err == nil {
		t.Error("a plan without a length was accepted")
	}
	refused := storm.Ground{Open: func(context.Context, ...locker.OpenOption) (locker.Locker, error) {
		return nil, locker.ErrUnavailable
	}}
	if _, err := storm.Run(t.Context(), refused, storm.Plan{For: 1, TTL: 1}); err == nil {
		t.Error("a storm without clients took place")
	}
}
