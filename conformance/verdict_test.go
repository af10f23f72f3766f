package conformance

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
)

// A stubRig opens nothing: these tests are about how a run is judged.
type stubRig struct{}

func (stubRig) Open(context.Context, ...locker.OpenOption) (locker.Locker, error) {
	return nil, errors.New("the stub opens nothing")
}
func (stubRig) Close() error { return nil }

type stubMaker struct {
	profile Profile
	err     error
}

func (m stubMaker) Profile() Profile                  { return m.profile }
func (m stubMaker) Make(context.Context) (Rig, error) { return stubRig{}, m.err }

func judge(m stubMaker, c Check) Result {
	if m.profile.TTL == 0 {
		m.profile.TTL = time.Second
	}
	m.profile.Bubble, m.profile.FIFO = true, true
	if c.ID == "" {
		c.ID, c.Class = "T1", Required
	}
	return execute(context.Background(), m, c, 1, "repeat me", nil).Result
}

func TestVerdicts(t *testing.T) {
	fails := func(t *trial) { t.broken("one thing", "saw %s", "another") }
	hangs := func(t *trial) { <-make(chan struct{}) }
	gives := map[string]string{"T1": "it is known"}
	without := map[Power]string{PowerEvict: "nobody can"}
	for name, c := range map[string]struct {
		maker stubMaker
		check Check
		want  Verdict
		says  string
	}{
		"holds":                {check: Check{body: func(*trial) {}}, want: Holds},
		"broken":               {check: Check{body: fails}, want: Broken, says: "saw another"},
		"a panic":              {check: Check{body: func(*trial) { panic("boom") }}, want: Broken, says: "panic: boom"},
		"in a goroutine":       {check: Check{body: func(t *trial) { t.spawn(func() { fails(t) }); t.sleep(time.Second) }}, want: Broken, says: "saw another"},
		"gives way":            {maker: stubMaker{profile: Profile{GivesWay: gives}}, check: Check{body: fails}, want: GivesWay, says: "it is known"},
		"panics are no excuse": {maker: stubMaker{profile: Profile{GivesWay: gives}}, check: Check{body: func(t *trial) { t.each(2, func(int) { panic("boom") }) }}, want: Broken, says: "boom"},
		"stale claim":          {maker: stubMaker{profile: Profile{GivesWay: gives}}, check: Check{body: func(*trial) {}}, want: StaleClaim, says: "the rule held"},
		"refuses":              {check: Check{body: func(t *trial) { t.refuses("says no") }}, want: Refuses, says: "says no"},
		"vacuous":              {check: Check{body: func(t *trial) { t.need(false, "nothing happened") }}, want: NotShown, says: "proved nothing: nothing happened"},
		"a power is missing":   {check: Check{Needs: []Power{PowerCrash}, body: fails}, want: NotShown, says: "the rig has no Crasher"},
		"not by nature":        {maker: stubMaker{profile: Profile{Without: without}}, check: Check{Needs: []Power{PowerEvict}, body: fails}, want: NotShown, says: "nobody can"},
		"out of time":          {check: Check{Within: 1, body: func(t *trial) { t.sleep(time.Hour) }}, want: NotShown, says: "out of time"},
		"hangs":                {check: Check{Within: 1, body: hangs}, want: NotShown, says: "out of time"},
		"a finding too late":   {check: Check{Within: 1, body: func(t *trial) { <-t.ctx.Done(); fails(t) }}, want: NotShown, says: "out of time"},
		"no rig":               {maker: stubMaker{err: errors.New("no server")}, check: Check{body: fails}, want: NotShown, says: "no server"},
		"no client":            {check: Check{body: func(t *trial) { t.open("A") }}, want: NotShown, says: "opens nothing"},
		"a goroutine is left":  {check: Check{body: func(*trial) { go func() { select {} }() }}, want: Broken, says: "goroutines remain"},
		"the first word stays": {check: Check{body: func(t *trial) { t.report("first", "x"); fails(t) }}, want: Broken, says: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(c.maker, c.check)
			if r.Verdict != c.want || !strings.Contains(r.Seen, c.says) {
				t.Errorf("got %s: %q, want %s: %q", r.Verdict, r.Seen, c.want, c.says)
			}
			if r.ID == "" || r.Repeat != "repeat me" || r.Seed != 1 {
				t.Errorf("the result does not say how to repeat it: %+v", r)
			}
		})
	}
}

// A check for which a power is missing is skipped on a laptop, and fails where
// CI must show everything, unless the backend cannot have that power.
func TestSkips(t *testing.T) {
	c := Check{ID: "T1", Class: Required, Needs: []Power{PowerEvict}}
	declared := Profile{Without: map[Power]string{PowerEvict: "nobody can"}}
	missing := Result{Verdict: NotShown, Seen: lacking(PowerEvict)}
	vacuous := Result{Verdict: NotShown, Seen: "the run proved nothing"}
	for _, tt := range []struct {
		name    string
		r       Result
		profile Profile
		ci      bool
		want    bool
	}{
		{"missing", missing, Profile{}, false, true},
		{"missing, CI", missing, Profile{}, true, false},
		{"declared, CI", missing, declared, true, true},
		{"vacuous", vacuous, declared, false, false},
		{"broken", Result{Verdict: Broken, Seen: lacking(PowerEvict)}, declared, false, false},
	} {
		if got := skippable(c, tt.r, tt.profile, tt.ci); got != tt.want {
			t.Errorf("%s: skipped %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestCatalogue(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range Checks() {
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		seen[c.ID] = true
		if c.Rule == "" || !strings.HasSuffix(c.Rule, ".") || c.Group == "" || c.Within <= 0 || c.body == nil ||
			c.Class != Required && c.Class != Optional && c.Class != Stochastic {
			t.Errorf("%s is incomplete: %+v", c.ID, c)
		}
	}
	if _, err := Verify(t.Context(), stubMaker{profile: Profile{TTL: 1}}, Only("X99")); err == nil {
		t.Error("an unknown check was accepted")
	}
}

// A finding says everything that is needed to understand and repeat it.
func TestFindingPrint(t *testing.T) {
	r := judge(stubMaker{}, Check{ID: "T2", Rule: "Rules hold.", Class: Required, body: func(t *trial) {
		t.step("did this")
		t.event("A", "acquire", "name", 7, "")
		t.broken("one thing", "another")
	}})
	text := r.String()
	for _, want := range []string{"T2: BROKEN", "Rules hold.", "did this", "one thing", "another", "seed:     1", "repeat me", "token 7"} {
		if !strings.Contains(text, want) {
			t.Errorf("the print lacks %q:\n%s", want, text)
		}
	}
}

// A declaration excuses a lost hold, and nothing that must hold under every
// fault.
func TestNoDeclarationExcusesWhatMustAlwaysHold(t *testing.T) {
	m := stubMaker{profile: Profile{
		GivesWay:   map[string]string{"T1": "it is known"},
		BestEffort: map[string]string{"T1": "it is known"},
	}}
	r := judge(m, Check{body: func(t *trial) { t.never("tokens increase", "they fell") }})
	if r.Verdict != Broken {
		t.Errorf("it was excused: %s", r)
	}
}

func TestSets(t *testing.T) {
	for _, c := range Checks() {
		if c.Set != Standard {
			t.Errorf("%s of the set %q is in the standard one", c.ID, c.Set)
		}
	}
	faults := Checks(Faults)
	if len(faults) == 0 || len(Checks())+len(faults) != len(Checks(Standard, Faults)) {
		t.Errorf("%d standard checks and %d of faults are %d in all", len(Checks()), len(faults), len(Checks(Standard, Faults)))
	}
	if named, err := pick([]string{"S1"}, nil); err != nil || len(named) != 1 || named[0].Set != Faults {
		t.Errorf("a check that is named is not run whatever its set: %v, %v", named, err)
	}
}
