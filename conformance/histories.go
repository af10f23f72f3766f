package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance/history"
	"github.com/lockerlib/locker/conformance/history/storm"
)

const histories = "Histories" // the group

// stormTTLs is how long the storm of a check lasts.
const stormTTLs = 6

// modelLimit is how long porcupine may take for each model.
const modelLimit = 10 * time.Second

func historyChecks() []Check {
	checks := historyTemplates()
	for i, c := range checks {
		property := properties[c.ID]
		checks[i].body = func(t *trial) {
			t.step("clients take names at random for %d TTLs, while faults come at random", stormTTLs)
			h := t.storm(storm.Plan{For: stormTTLs * t.ttl()})
			t.convict(h, history.Sum(property, history.Judge(h, modelLimit)))
		}
	}
	return checks
}

// properties says what each check judges.
var properties = map[string]string{"Y1": history.Belief, "Y3": history.Ownership, "Y5": history.Expiry, "Y6": history.Fencing}

// historyTemplates are the checks without what they do: all of them judge the
// history of a storm, and a soak judges one history by all of them.
func historyTemplates() []Check {
	return []Check{
		{ID: "Y1", Class: Stochastic, Within: 14,
			Rule: "Over random clients and faults no two clients believe to hold a name at once, by two judges."},
		{ID: "Y3", Class: Optional, Within: 14,
			Rule: "Over random clients and faults the server has one owner of a name at a time, and it is the one who is certain."},
		{ID: "Y5", Class: Stochastic, Within: 14, Needs: []Power{PowerLinks},
			Rule: "Over random clients and faults no lease ends before the last Deadline that its holder was told."},
		{ID: "Y6", Class: Stochastic, Within: 14, Needs: []Power{PowerLinks},
			Rule: "Over random clients and faults a resource that refuses smaller tokens refuses every stale write, and an unfenced one loses updates."},
	}
}

// Recheck turns what the judges found in a stored history into the results of
// the checks of the group Histories, as if they had recorded it. What a backend
// declares is not in its history, and excuses nothing.
func Recheck(h *history.History, findings []history.Finding, repeat string) []Result {
	var results []Result
	for _, c := range historyTemplates() {
		c.Group = histories
		t := newTrial(c, Profile{Backend: h.Backend, Server: h.Server, TTL: h.TTL}, h.Seed)
		t.judged(h, findings)
		results = append(results, t.result(h.Took, repeat))
	}
	return results
}

// newTrial is one of which nothing is run.
func newTrial(c Check, p Profile, seed uint64) *trial {
	t := &trial{check: c, profile: p, seed: seed}
	t.ctx, t.stop = context.WithCancelCause(context.Background())
	return t
}

// judged is the verdict on a history that is there already.
func (t *trial) judged(h *history.History, findings []history.Finding) {
	t.protect(func() {
		t.convict(h, history.Sum(properties[t.check.ID], findings))
		t.settle(Holds, "", "")
	})
}

// storm lets one go over the rig of the check.
func (t *trial) storm(p storm.Plan) *history.History {
	p.Seed, p.TTL = uint64(t.rand(1<<53)), t.ttl()
	p.Backend, p.Server = t.profile.Backend, t.profile.Server
	h, err := storm.Run(t.ctx, groundOf(t.rig, t.profile), p)
	t.live()
	if err != nil {
		t.notShown("the storm did not take place as planned: %v", err)
	}
	return h
}

// convict turns a finding into the verdict of the check, and the history into
// its timeline.
func (t *trial) convict(h *history.History, f history.Finding) {
	t.step("%s, %d faults; judged by %s", plural(len(h.Holds), "hold"), len(h.Faults), f.Judge)
	t.tell(h, f)
	t.mu.Lock()
	t.history = h
	t.mu.Unlock()
	t.measured("%s", f.Number)
	switch f.Outcome {
	case history.Illegal:
		t.broken(f.Expected, "%s", f.Seen)
	case history.Unknown:
		t.notShown("%s: %s", f.Judge, f.Seen)
	case history.Legal:
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// groundOf is a rig in the words of package storm. In a bubble, what seems to be
// another process is not one.
func groundOf(r Rig, p Profile) storm.Ground {
	g := storm.Ground{Open: r.Open}
	if l, ok := r.(Linker); ok {
		ways := map[storm.Way]Direction{storm.Requests: Up, storm.Answers: Down, storm.BothWays: Both}
		g.Cut = func(c locker.Locker, w storm.Way) error { return l.Cut(c, ways[w]) }
		g.Delay = func(c locker.Locker, w storm.Way, d time.Duration) error { return l.Delay(c, ways[w], d) }
		g.Heal, g.DropReplies = l.Heal, l.DropReplies
	}
	if c, ok := r.(Crasher); ok {
		g.Crash = c.Crash
	}
	if e, ok := r.(Evictor); ok {
		g.Evict = e.Evict
	}
	if s, ok := r.(Suspender); ok {
		g.Suspend = s.Suspend
	}
	if s, ok := r.(Spawner); ok && !p.Bubble {
		g.Spawn = func(ctx context.Context) (storm.Process, error) { return s.Spawn(ctx) }
	}
	return g
}
