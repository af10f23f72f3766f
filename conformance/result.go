package conformance

import (
	"time"

	"github.com/lockerlib/locker/conformance/history"
)

// A Verdict is what a check found out about a backend.
type Verdict string

// The six verdicts. Only Holds, GivesWay and Refuses are green.
const (
	Holds      Verdict = "holds"       // the rule held
	Broken     Verdict = "broken"      // it did not
	GivesWay   Verdict = "gives way"   // declared not to hold, and the counter-example was produced
	Refuses    Verdict = "refuses"     // not offered, and a clean refusal was shown
	NotShown   Verdict = "not shown"   // a power is missing, or the run proved nothing
	StaleClaim Verdict = "stale claim" // declared not offered or not to hold, yet it held
)

// Green reports whether v is a verdict to be content with.
func (v Verdict) Green() bool { return v == Holds || v == GivesWay || v == Refuses }

// A Result is the outcome of one check on one backend.
type Result struct {
	ID       string        `json:"id"`    // of the check, for instance "X2"
	Rule     string        `json:"rule"`  // one sentence
	Group    string        `json:"group"` // for instance "Exclusion"
	Class    string        `json:"class"` // required, optional or stochastic
	Verdict  Verdict       `json:"verdict"`
	Number   string        `json:"number,omitempty"`   // the one figure to show in the cell, for instance "1,000 handovers" or "2.31 s"
	Done     []string      `json:"done,omitempty"`     // what was done, step by step
	Expected string        `json:"expected,omitempty"` // where it is not green
	Seen     string        `json:"seen,omitempty"`     // what was seen, or why nothing was shown
	Void     []string      `json:"void,omitempty"`     // earlier tries that a standstill of the server disturbed: how long it was, and what was seen
	Seed     uint64        `json:"seed"`
	Repeat   string        `json:"repeat"` // one command that runs this check again
	Took     time.Duration `json:"took_ns"`
	Events   []Event       `json:"events,omitempty"`  // the timeline
	Recheck  string        `json:"recheck,omitempty"` // one command that judges the stored history again

	// History is what a check of a history judged, unless the rule held. It is
	// for storing, and not a part of the report: whoever stores it says in
	// Recheck where.
	History *history.History `json:"-"`
}

// An Event is one thing that happened in a check, for its timeline.
type Event struct {
	At     time.Duration `json:"at_ns"` // since the check began
	Client string        `json:"client"`
	Kind   string        `json:"kind"` // wait, acquire, release, lost, close, fault, heal, note
	Name   string        `json:"name,omitempty"`
	Token  uint64        `json:"token,omitempty"`
	Text   string        `json:"text,omitempty"`
}

// A BackendReport is everything found out about one backend.
type BackendReport struct {
	Backend string        `json:"backend"`
	Server  string        `json:"server"`
	TTL     time.Duration `json:"ttl_ns"`
	Slack   time.Duration `json:"slack_ns"`
	Took    time.Duration `json:"took_ns"`
	Results []Result      `json:"results"`
}

// ReportVersion is the version of the format of Report. Version 2 added Recheck and Void.
const ReportVersion = 2

// A Report compares backends.
type Report struct {
	Version  int             `json:"version"` // ReportVersion
	Time     time.Time       `json:"time"`
	Machine  string          `json:"machine"` // operating system, architecture, cores, Go version
	Notes    []string        `json:"notes,omitempty"`
	Backends []BackendReport `json:"backends"`
}
