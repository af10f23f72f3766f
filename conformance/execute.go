package conformance

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	// startup is what a check may take beyond its TTLs, for connecting clients
	// and tearing them down.
	startup = 20 * time.Second
	// grace is how long a body may take to end after its deadline.
	grace = 5 * time.Second
	// bubbleLimit is in real time: a bubble that does not come to rest by then
	// waits for something outside of it, or runs in circles.
	bubbleLimit = time.Minute
)

// A ruling is a result, and what it is worth.
type ruling struct {
	Result
	settled   time.Time     // when the verdict was found
	explained time.Duration // a standstill of this length explains it too; 0: none does
}

// execute runs one check on a fresh rig and judges it.
func execute(ctx context.Context, m Maker, c Check, seed uint64, repeat string, tt *testing.T) ruling {
	t := &trial{check: c, profile: m.Profile(), seed: seed}
	h := fnv.New64a()
	h.Write([]byte(c.ID))
	t.rng = rand.New(rand.NewPCG(seed, h.Sum64()))

	began := time.Now()
	if t.profile.Bubble {
		t.inBubble(m, tt)
	} else {
		t.run(ctx, m)
	}

	return t.ruling(time.Since(began), repeat)
}

// ruling is the outcome of a trial that is over, by now or by its deadline.
func (t *trial) ruling(took time.Duration, repeat string) ruling {
	r := t.result(took, repeat)
	t.mu.Lock()
	defer t.mu.Unlock()
	return ruling{r, t.settledAt, t.found.explained}
}

func (t *trial) result(took time.Duration, repeat string) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.check
	r := Result{
		ID: c.ID, Rule: c.Rule, Group: c.Group, Class: c.Class,
		Verdict: t.found.verdict, Number: t.number, Done: t.done,
		Expected: t.found.expected, Seen: t.found.seen,
		Seed: t.seed, Repeat: repeat, Took: took, Events: t.events,
	}
	if t.dropped > 0 {
		r.Events = append(r.Events, Event{At: r.Took, Kind: "note", Text: fmt.Sprintf("%d further events were not kept", t.dropped)})
	}
	if !t.found.inexcusable {
		r = declared(r, t.profile)
	}
	if r.Verdict != Holds {
		r.History = t.history
	}
	return r
}

// declared compares what was found with what the backend says of itself.
func declared(r Result, p Profile) Result {
	for power, why := range p.Without {
		if r.Verdict == NotShown && r.Seen == lacking(power) {
			r.Class, r.Seen = Optional, r.Seen+": "+why
		}
	}
	why, gives := p.GivesWay[r.ID]
	if !p.FIFO && !gives && r.ID == "Q1" {
		why, gives = "no order among clients is promised", true
	}
	best, ok := p.BestEffort[r.ID]
	if !p.FIFO && r.ID == "Q3" && !ok { // of few waiters, chance keeps the order too often
		best, ok = "no order among clients is promised", true
	}
	if told, withheld := p.Withholds[OfferNotice]; withheld && r.ID == "Y1" && !ok { // whoever is told nothing goes on believing
		best, ok = told, true
	}
	if ok && r.Verdict == Broken {
		r.Verdict = GivesWay
		r.Seen = fmt.Sprintf("%s (best effort: %s)", r.Seen, best)
		return r
	}
	if !gives {
		return r
	}
	switch r.Verdict {
	case Broken:
		r.Verdict = GivesWay
		r.Seen = fmt.Sprintf("%s (declared: %s)", r.Seen, why)
	case Holds:
		r.Verdict = StaleClaim
		r.Expected = "a counter-example, because it is declared: " + why
		r.Seen = "the rule held"
	default: // what was not shown says nothing about the claim
	}
	return r
}

func lacking(p Power) string { return "the rig has no " + string(p) }

// inBubble runs the check in a bubble of its own. The bubble's end is part of
// the check: goroutines that are left behind make it panic.
func (t *trial) inBubble(m Maker, tt *testing.T) {
	if tt == nil {
		// synctest asks for a T only to report through it, and nothing is
		// reported here.
		tt = new(testing.T)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() {
			if p := recover(); p != nil {
				t.settled(Broken, "no goroutine is left when every client is closed", fmt.Sprint(p))
			}
		}()
		synctest.Test(tt, func(*testing.T) { t.run(context.Background(), m) })
	}()
	select {
	case <-over:
	case <-time.After(bubbleLimit):
		t.settled(NotShown, "", fmt.Sprintf("the bubble did not come to rest within %v of real time", bubbleLimit))
	}
}

// settled sets the verdict from outside of the bubble; only a finding that is
// already there goes before it.
func (t *trial) settled(v Verdict, expected, seen string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found.verdict == "" || t.found.verdict == Holds || t.explicable() && v == Broken {
		t.found, t.settledAt = finding{verdict: v, expected: expected, seen: seen}, time.Now()
	}
}

// run makes the rig, runs the body, and takes everything down again.
func (t *trial) run(parent context.Context, m Maker) {
	limit := time.Duration(t.check.Within)*t.ttl() + startup
	ctx, cancel := context.WithTimeoutCause(parent, limit, fmt.Errorf("the check has used up its %v", limit))
	defer cancel()
	t.ctx, t.stop = context.WithCancelCause(ctx)
	t.start = time.Now()
	defer t.stop(errTrialOver)

	rig, err := t.make(ctx, m)
	if err != nil {
		t.settle(NotShown, "", "the rig could not be made: "+err.Error())
		return
	}
	t.rig = rig

	body, idle := make(chan struct{}), make(chan struct{})
	go func() {
		t.protect(t.judge)
		t.stop(errTrialOver)
		close(body)
		t.work.Wait()
		close(idle)
	}()
	select {
	case <-body:
	case <-ctx.Done():
		// The body sees it too; a call that hangs in it may not.
		waitFor(body, grace)
	}
	if ctx.Err() != nil {
		t.settle(NotShown, "", "out of time: "+context.Cause(ctx).Error())
	}
	waitFor(idle, grace)
	t.closeRig()
	// Closing the clients wakes whatever still hung in them.
	if !waitFor(idle, grace) {
		t.settled(Broken, "every call returns when its Locker is closed", "a call was still blocked after that")
	}
}

func (t *trial) make(ctx context.Context, m Maker) (Rig, error) {
	if picky, ok := m.(Picky); ok {
		return picky.MakeFor(ctx, t.check)
	}
	return m.Make(ctx)
}

func (t *trial) judge() {
	if o, ok := offerOf[t.check.ID]; ok && t.withholds(o) {
		t.withheld(o)
	}
	for _, p := range t.check.Needs {
		if !p.has(t.rig) {
			t.notShown("%s", lacking(p))
		}
	}
	t.check.body(t)
	t.live()
	t.settle(Holds, "", "")
}

func (t *trial) closeRig() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		defer func() {
			if p := recover(); p != nil {
				t.settled(Broken, "no panic when the clients are closed", fmt.Sprint(p))
			}
		}()
		if err := t.rig.Close(); err != nil {
			t.settled(NotShown, "", "the rig could not be closed: "+err.Error())
		}
	}()
	if !waitFor(closed, startup) {
		t.settled(Broken, "Close of the clients returns", "it was still blocked after "+startup.String())
	}
}

func waitFor(c <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return isClosed(c)
	}
}

// shortStack is the stack of a panic without the frames that caught it.
func shortStack() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	if len(lines) > 24 {
		lines = lines[:24]
	}
	return strings.Join(lines, "\n")
}
