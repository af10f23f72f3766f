package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/testbed/rigs"
	"github.com/lockerlib/locker/testbed/servers"
	"github.com/lockerlib/locker/testbed/whole"
)

// docs/guarantees.md is from a run, which takes servers and minutes. Whether it
// is stale can be told without one: it has the checks that there are now, by the
// rules that they have now, the backends that there are now, and where a verdict
// is not that the rule holds, the backend declares it so. That the verdicts are
// still true is what the suite itself tests.
func TestGuaranteesAreNotStale(t *testing.T) {
	page, err := os.ReadFile("../../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	profiles := ownProfiles(t)
	var want bytes.Buffer
	if err := guarantees(&want, declaredReport(profiles, cells(string(page))), false); err != nil {
		t.Fatal(err)
	}
	if got := string(page); got != want.String() {
		t.Errorf("docs/guarantees.md is stale, run make guarantees: it differs at\n%s", difference(got, want.String()))
	}
}

// A declared backend is what it says of itself under either set.
type declared struct{ standard, faults conformance.Profile }

func (d declared) under(set conformance.Set) conformance.Profile {
	if set == conformance.Faults {
		return d.faults
	}
	return d.standard
}

// without reports whether a power is missing that this machine does not take
// away: a page from another one has what it allows.
func without(p conformance.Profile, power conformance.Power) bool {
	why := p.Without[power]
	return why != "" && !strings.HasPrefix(why, rigs.NoNetwork)
}

func ownProfiles(t *testing.T) []declared {
	t.Helper()
	var list []declared
	for _, target := range allTargets() {
		if target.foreign {
			continue
		}
		m, err := target.maker(&servers.Server{Name: target.server, Kind: servers.Embedded, Addr: "127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := m.(io.Closer); ok {
			t.Cleanup(func() { _ = c.Close() })
		}
		d := declared{m.Profile(), target.faults().Profile()}
		if d.standard.Backend != d.faults.Backend {
			t.Errorf("%s is called %q, and under faults %q", target.key, d.standard.Backend, d.faults.Backend)
		}
		list = append(list, d)
	}
	return list
}

// cells reads the verdicts of the page: by check, one a backend.
func cells(page string) map[string][]string {
	found := make(map[string][]string)
	for line := range strings.Lines(page) {
		parts := strings.Split(strings.TrimSpace(line), " | ")
		if id, ok := strings.CutPrefix(parts[0], "| "); ok && len(parts) > 2 {
			parts[len(parts)-1] = strings.TrimSuffix(parts[len(parts)-1], " |")
			found[id] = parts[2:]
		}
	}
	return found
}

// declaredReport is a report in which everything is as declared. Where a
// declaration leaves a choice, the page decides.
func declaredReport(profiles []declared, page map[string][]string) *conformance.Report {
	r := &conformance.Report{Version: conformance.ReportVersion}
	for i, p := range profiles {
		b := conformance.BackendReport{Backend: p.standard.Backend}
		for _, c := range conformance.Checks(conformance.Standard, conformance.Faults) {
			shown := ""
			if cells := page[c.ID]; i < len(cells) {
				shown = cells[i]
			}
			b.Results = append(b.Results, conformance.Result{
				ID: c.ID, Rule: c.Rule, Group: c.Group, Class: c.Class, Verdict: declaredVerdict(c, p.under(c.Set), shown),
			})
		}
		r.Backends = append(r.Backends, b)
	}
	return r
}

func declaredVerdict(c conformance.Check, p conformance.Profile, shown string) conformance.Verdict {
	is := func(v conformance.Verdict) bool { return strings.HasSuffix(shown, " "+string(v)) }
	_, gives := p.GivesWay[c.ID]
	_, best := p.BestEffort[c.ID]
	switch {
	case slices.ContainsFunc(c.Needs, func(power conformance.Power) bool { return without(p, power) }):
		return conformance.NotShown
	case gives, best && is(conformance.GivesWay):
		return conformance.GivesWay
	case c.Class != conformance.Required && is(conformance.Refuses):
		return conformance.Refuses
	}
	return conformance.Holds
}

func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return "want: " + b[i]
		case i >= len(b):
			return "got:  " + a[i]
		case a[i] != b[i]:
			return "got:  " + a[i] + "\nwant: " + b[i]
		}
	}
	return ""
}

func TestGuaranteesAreWritten(t *testing.T) {
	f := newFixture(t)
	path := t.TempDir() + "/guarantees.md"
	if status := f.run("-run", "^B", "-guarantees", path); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &f.out, &f.err)
	}
	page, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(page, []byte("| B1 |")) || !bytes.Contains(page, []byte("| ✓ holds | ✓ holds |")) {
		t.Errorf("%v\n%s", err, page)
	}
}

func TestChangesBetweenReports(t *testing.T) {
	f := newFixture(t)
	file := func(v conformance.Verdict) string {
		path := t.TempDir() + "/report.json"
		r := &conformance.Report{Version: conformance.ReportVersion, Backends: []conformance.BackendReport{{
			Backend: "b", Results: []conformance.Result{{ID: "X1", Verdict: v}},
		}}}
		if err := whole.Write(path, func(w io.Writer) error { return report.Encode(w, r) }); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := file(conformance.Holds), file(conformance.Broken)
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{good, good}, exitOK, "Every check"},
		{[]string{bad, good}, exitOK, "Better: 1"},
		{[]string{good, bad}, exitNotGreen, "X1 on b: broken, was holds"},
		{[]string{good, good + ".gone"}, exitUsage, "no such file"},
		{[]string{good, "guarantees_test.go"}, exitUsage, "guarantees_test.go"},
	} {
		f.out.Reset()
		f.err.Reset()
		if status := f.comparison.run(t.Context(), test.args); status != test.status {
			t.Errorf("%q: status %d, want %d", test.args, status, test.status)
		}
		if all := f.out.String() + f.err.String(); !strings.Contains(all, test.says) {
			t.Errorf("%q: it does not say %q:\n%s", test.args, test.says, all)
		}
	}
}
