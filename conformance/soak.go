package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/lockerlib/locker/conformance/history"
	"github.com/lockerlib/locker/conformance/history/storm"
)

// A SoakPlan says how a soak is to be.
type SoakPlan struct {
	Seed    uint64
	For     time.Duration
	Clients int    // 0: the default of package storm
	Workers int    // goroutines of each client; 0: the default
	Names   int    // 0: the default
	Repeat  string // the command that repeats it, for the results
}

// Soak lets one storm of random clients and faults go over a rig, and judges
// its history by every check of the group Histories. There is a result for
// each. The history is nil if the storm did not take place; then no result is
// green. As Verify, it must not be called from inside of a bubble.
func Soak(ctx context.Context, m Maker, p SoakPlan) (*history.History, []Result) {
	var h *history.History
	profile := m.Profile()
	c := Check{ID: "soak", Class: Stochastic, Within: int(p.For/profile.TTL) + 10}
	c.body = func(t *trial) {
		h = t.storm(storm.Plan{For: p.For, Clients: p.Clients, Workers: p.Workers, Names: p.Names})
	}
	took := execute(ctx, m, c, p.Seed, p.Repeat, nil)
	var (
		results  []Result
		findings []history.Finding
	)
	if h != nil {
		findings = history.Judge(h, modelLimit+p.For/10)
	}
	for _, c := range historyTemplates() {
		c.Group = histories
		t := newTrial(c, profile, p.Seed)
		t.step("clients take names at random for %v, while faults come at random", p.For)
		if why, withheld := profile.Withholds[offerOf[c.ID]]; withheld {
			t.settle(Refuses, "", fmt.Sprintf("declared not offered: %s", why))
		} else if h == nil || took.Verdict != Holds {
			t.settle(took.Verdict, took.Expected, took.Seen)
		} else {
			t.judged(h, findings)
		}
		results = append(results, t.result(took.Took, p.Repeat))
	}
	return h, results
}
