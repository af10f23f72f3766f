package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/history"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/testbed/again"
	"github.com/lockerlib/locker/testbed/whole"
)

// A soak is a series of rounds.
type soak struct {
	options
	maker conformance.Maker
	log   io.Writer

	began   time.Time
	results []conformance.Result // of each check, the first that is not green, else the last
	history *history.History     // the same of rounds
	spoiled bool                 // a round was not green
	total   tally
	rounds  int
}

// A tally adds up what the rounds had.
type tally struct {
	calls, holds, faults    int
	overlaps, excused       int
	longest, longestExcused time.Duration
	accepted, refused, lost int
	expired                 int
	sightings               int
}

func (s *soak) run(ctx context.Context) {
	s.began = time.Now()
	fmt.Fprintf(s.log, "soak: %s (%s) for %v, TTL %v, seed %d\n", s.maker.Profile().Backend, s.maker.Profile().Server, s.length, s.maker.Profile().TTL, s.seed)
	for done := time.Duration(0); done < s.length && ctx.Err() == nil; done += s.round {
		seed, length := s.seed+uint64(s.rounds), min(s.round, s.length-done)
		h, results := conformance.Soak(ctx, s.maker, conformance.SoakPlan{
			Seed: seed, For: length, Clients: s.clients, Workers: s.workers, Names: s.names,
			Repeat: fmt.Sprintf("go -C testbed run ./cmd/soak -backend %s -for %v -round %v -seed %d -clients %d -workers %d -names %d -out ../soak-again",
				s.backend, length, length, seed, s.clients, s.workers, s.names),
		})
		if ctx.Err() != nil {
			break // half of a round shows nothing
		}
		s.add(h, results)
		fmt.Fprintf(s.log, "%7v of %v, seed %d: %s\n", done+length, s.length, seed, inShort(h, results))
	}
	fmt.Fprintf(s.log, "%d rounds: %s\n", s.rounds, s.total)
}

func (s *soak) add(h *history.History, results []conformance.Result) {
	s.rounds++
	green := true
	for i, r := range results {
		green = green && r.OK()
		if i >= len(s.results) {
			s.results = append(s.results, r)
		} else if s.results[i].OK() {
			s.results[i] = r
		}
	}
	if h == nil {
		s.spoiled = s.spoiled || !green
		return
	}
	s.total.add(h)
	if s.history == nil || !s.spoiled {
		s.history = h
	}
	s.spoiled = s.spoiled || !green
}

func (s *soak) ok() bool { return s.rounds > 0 && !s.spoiled }

func (t *tally) add(h *history.History) {
	for _, n := range h.Attempts {
		t.calls += n
	}
	t.holds += len(h.Holds)
	t.faults += len(h.Faults)
	t.sightings += len(h.Sightings)
	for _, l := range h.Holds {
		if l.Lost != "" {
			t.expired++
		}
	}
	for _, o := range history.Overlaps(h) {
		if o.Excused {
			t.excused++
			t.longestExcused = max(t.longestExcused, o.Length())
		} else {
			t.overlaps++
			t.longest = max(t.longest, o.Length())
		}
	}
	for _, r := range h.Registers {
		t.accepted += r.Accepted
		t.refused += r.Refused
		t.lost += r.ControlWrites - r.ControlValue
	}
}

// String gives all figures.
func (t tally) String() string {
	return fmt.Sprintf("%d calls, %d holds (%d lost), %d faults, %d looks at the server; "+
		"believed at once without a removal from outside: %d (longest %v), after one: %d (longest %v); "+
		"fenced writes: %d accepted, %d stale refused; the unfenced control lost %d updates",
		t.calls, t.holds, t.expired, t.faults, t.sightings,
		t.overlaps, t.longest.Round(time.Microsecond), t.excused, t.longestExcused.Round(time.Microsecond),
		t.accepted, t.refused, t.lost)
}

func inShort(h *history.History, results []conformance.Result) string {
	text := "no history"
	if h != nil {
		text = fmt.Sprintf("%d holds, %d faults", len(h.Holds), len(h.Faults))
	}
	for _, r := range results {
		text += fmt.Sprintf(", %s %s", r.ID, r.Verdict)
		if !r.Verdict.Green() {
			text += "\n  " + r.String()
		}
	}
	return text
}

// write puts the evidence into the directory, whole or not at all.
func (s *soak) write() error {
	dir, err := filepath.Abs(s.out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, r := range s.results {
		if r.History != nil && r.History == s.history {
			s.results[i].Recheck = again.Command(s.out, "history.json")
		}
	}
	p := s.maker.Profile()
	rep := &conformance.Report{
		Version: conformance.ReportVersion, Time: time.Now().UTC(),
		Machine: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Notes:   []string{fmt.Sprintf("A soak of %d rounds of %v each, the first with seed %d: %s.", s.rounds, s.round, s.seed, s.total)},
		Backends: []conformance.BackendReport{{
			Backend: p.Backend, Server: p.Server, TTL: p.TTL, Slack: p.Slack, Took: time.Since(s.began), Results: s.results,
		}},
	}
	files := map[string]func(io.Writer) error{
		"report.json": func(w io.Writer) error { return report.Encode(w, rep) },
		"report.html": func(w io.Writer) error { return report.HTML(w, rep) },
	}
	if s.history != nil {
		files["history.json"] = func(w io.Writer) error { return history.Encode(w, s.history) }
	}
	for name, render := range files {
		path := filepath.Join(dir, name)
		if err := whole.Write(path, render); err != nil {
			return err
		}
		fmt.Fprintln(s.log, "  "+path)
	}
	return nil
}
