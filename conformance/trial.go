package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/lockerlib/locker/conformance/history"
)

// maxEvents bounds the timeline of a check; what comes later is counted only.
const maxEvents = 400

// A trial is one run of one check. The body of a check tells it what it does
// and what it saw. The first verdict is the one that counts.
//
// A body ends early by a panic with the value stopped, raised by broken,
// notShown and refuses; it passes only through the body's own frames and is
// caught by the function that started them.
type trial struct {
	check   Check
	profile Profile
	rig     Rig
	seed    uint64

	ctx   context.Context // ends with the check's deadline
	stop  context.CancelCauseFunc
	start time.Time
	work  sync.WaitGroup // goroutines of the check

	mu      sync.Mutex // guards all below
	rng     *rand.Rand
	found   finding // its verdict is "" when there is none yet
	done    []string
	number  string
	events  []Event
	dropped int
	history *history.History // that was judged
	proofs  []*proof         // that faults had an effect

	settledAt time.Time // when the verdict was found
}

type stopped struct{}

var errTrialOver = fmt.Errorf("the check is over")

// ttl returns T, the lease that checks ask for.
func (t *trial) ttl() time.Duration { return t.profile.TTL }

// busy is how long a busy machine may stand still before it is taken note of.
const busy = 500 * time.Millisecond

// slop is what a check allows for a busy machine where time is real.
func (t *trial) slop() time.Duration {
	if t.profile.Bubble {
		return 0
	}
	return busy
}

// prompt is how long something may take that needs no lease to run out: T/4,
// and in real time enough for a busy machine.
func (t *trial) prompt() time.Duration { return t.ttl()/4 + t.slop() }

// freed is how long a name may stay taken after its holder died: one TTL from
// its last renewal, and the slack of the server.
func (t *trial) freed(ttl time.Duration) time.Duration {
	return ttl + t.profile.Slack + t.slop()
}

// rounds returns n where time is free and a bounded number on a real server.
func (t *trial) rounds(n, onServer int) int {
	if t.profile.Bubble {
		return n
	}
	return min(n, onServer)
}

// step records what the check does, for the failure print.
func (t *trial) step(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.done) < 50 {
		t.done = append(t.done, fmt.Sprintf(format, args...))
	}
}

// measured sets the one figure of the check.
func (t *trial) measured(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number = fmt.Sprintf(format, args...)
}

// event puts something on the timeline.
func (t *trial) event(client, kind, name string, token uint64, text string) {
	t.eventAt(time.Now(), client, kind, name, token, text)
}

func (t *trial) eventAt(when time.Time, client, kind, name string, token uint64, text string) {
	at := when.Sub(t.start)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) >= maxEvents {
		t.dropped++
		return
	}
	t.events = append(t.events, Event{At: at, Client: client, Kind: kind, Name: name, Token: token, Text: text})
}

func (t *trial) settle(v Verdict, expected, seen string) {
	t.conclude(finding{verdict: v, expected: expected, seen: seen})
}

// A finding is a verdict, and what there is to say of it.
type finding struct {
	verdict        Verdict
	expected, seen string
	explained      time.Duration // a standstill of this length explains it too; 0: none does
	inexcusable    bool          // no declaration allows it
}

// conclude ends the check. The first finding is the one that counts, unless a
// standstill may explain it and nothing explains this one.
func (t *trial) conclude(f finding) {
	t.mu.Lock()
	if t.found.verdict == "" || t.explicable() && f.verdict == Broken && f.explained == 0 {
		t.found, t.settledAt = f, time.Now()
	}
	t.mu.Unlock()
	t.stop(errTrialOver)
}

// explicable reports whether a standstill may explain what was found. mu is held.
func (t *trial) explicable() bool { return t.found.explained > 0 }

// broken ends the calling goroutine with the finding that the rule does not
// hold. When the check's time is up, what was seen proves nothing.
func (t *trial) broken(expected, seen string, args ...any) {
	t.report(expected, seen, args...)
	panic(stopped{})
}

// overdue is broken for what takes too long, or is not answered: a server that
// stood still meanwhile explains it.
func (t *trial) overdue(expected, seen string, args ...any) {
	t.find(finding{expected: expected, seen: fmt.Sprintf(seen, args...), explained: busy})
	panic(stopped{})
}

// lapsed is broken for a hold that ran out: a server that stood still for the
// time in which renewals are tried explains it.
func (t *trial) lapsed(expected, seen string, args ...any) {
	t.find(finding{expected: expected, seen: fmt.Sprintf(seen, args...), explained: t.ttl() / 2})
	panic(stopped{})
}

// never is broken for what holds under every fault, whatever the backend
// declares.
func (t *trial) never(expected, seen string, args ...any) {
	t.find(finding{expected: expected, seen: fmt.Sprintf(seen, args...), inexcusable: true})
	panic(stopped{})
}

// report is broken for code that must go on.
func (t *trial) report(expected, seen string, args ...any) {
	t.find(finding{expected: expected, seen: fmt.Sprintf(seen, args...)})
}

func (t *trial) find(f finding) {
	f.verdict = Broken
	if t.ctx.Err() != nil { // calls fail because of that
		f.verdict, f.seen = NotShown, "out of time; last seen: "+f.seen
	} else if p := t.disproved(); p != nil {
		f.verdict, f.seen = NotShown, p.String()
	}
	t.conclude(f)
}

// notShown ends the check without a finding.
func (t *trial) notShown(why string, args ...any) {
	t.settle(NotShown, "", fmt.Sprintf(why, args...))
	panic(stopped{})
}

// refuses ends the check with the finding that the backend does not offer this
// and says so cleanly.
func (t *trial) refuses(how string, args ...any) {
	t.settle(Refuses, "", fmt.Sprintf(how, args...))
	panic(stopped{})
}

// need is a vacuity guard: without ok the run proves nothing.
func (t *trial) need(ok bool, why string, args ...any) {
	if !ok {
		t.notShown("the run proved nothing: "+why, args...)
	}
}

// spawn runs f in a goroutine of the check. A panic in it is a finding.
func (t *trial) spawn(f func()) {
	t.work.Go(func() { t.protect(f) })
}

// protect runs f, and keeps its panics: stopped is how a body ends, anything
// else came out of the code under test.
func (t *trial) protect(f func()) {
	defer func() {
		switch p := recover().(type) {
		case nil, stopped:
		default:
			t.conclude(finding{verdict: Broken, expected: "no panic", seen: fmt.Sprintf("panic: %v\n%s", p, shortStack()), inexcusable: true})
		}
	}()
	f()
}

// each runs f(0) to f(n-1) concurrently and waits for them.
func (t *trial) each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { t.protect(func() { f(i) }) })
	}
	wg.Wait()
	t.live()
}

// live ends the calling goroutine if the check is over.
func (t *trial) live() {
	if t.ctx.Err() != nil {
		panic(stopped{}) // the deadline is judged where the body is run
	}
}

// sleep lets time pass; it ends with the check.
func (t *trial) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
		panic(stopped{})
	}
}

// closesWithin reports whether c is closed within d.
func (t *trial) closesWithin(c <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return isClosed(c)
	case <-t.ctx.Done():
		panic(stopped{})
	}
}

// rand returns a number below n from the seed of the check.
func (t *trial) rand(n int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rng.Int64N(n)
}

// power judges the answer of the rig: a power that turns out to be missing is
// no finding about the backend.
func (t *trial) power(what string, err error) {
	if err != nil {
		t.notShown("the rig could not %s: %v", what, err)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.String()
}

func join(list []string) string { return strings.Join(list, ", ") }
