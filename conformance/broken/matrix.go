package broken

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lockerlib/locker/conformance"
)

// A Matrix tells which checks catch which broken locker, as a run has shown it.
type Matrix struct {
	Seed    uint64              `json:"seed"`
	Checks  []string            `json:"checks"`  // that were run, by ID
	Catches map[string][]string `json:"catches"` // by the name of the locker
}

// Catchers runs a broken locker against the given checks, and returns the
// results of those that would fail a run: they find it broken, or are kept by it
// from showing what they show of the reference. One that had no luck, as a check
// of a race has now and then on a busy machine, shows it in a second run.
func Catchers(ctx context.Context, l Locker, seed uint64, checks ...string) ([]conformance.Result, error) {
	report, err := conformance.Verify(ctx, l.Maker, conformance.Only(checks...), conformance.WithSeed(seed))
	if err != nil {
		return nil, err
	}
	var caught []conformance.Result
	for _, r := range report.Results {
		if r.Verdict == conformance.NotShown && !r.OK() {
			again, err := conformance.Verify(ctx, l.Maker, conformance.Only(r.ID), conformance.WithSeed(seed+1))
			if err != nil {
				return nil, err
			}
			r = again.Results[0]
		}
		if r.Verdict == conformance.Broken || !r.OK() {
			caught = append(caught, r)
		}
	}
	return caught, nil
}

// IDs are those of the checks that results are of.
func IDs(results []conformance.Result) []string {
	list := make([]string, 0, len(results))
	for _, r := range results {
		list = append(list, r.ID)
	}
	return list
}

// Checks returns the checks that a locker is run against: all but those of
// histories, which find by chance what the others look for.
func Checks() []conformance.Check {
	return slices.DeleteFunc(conformance.Checks(conformance.Standard, conformance.Faults), func(c conformance.Check) bool {
		return c.Group == "Histories"
	})
}

// Alone returns, by the ID of each required check, the lockers
// that name it and that no other required check catches. Without that check
// they would not be caught, unless by chance.
func (m Matrix) Alone() map[string][]Locker {
	alone := make(map[string][]Locker)
	for _, c := range Checks() {
		if c.Class == conformance.Required {
			alone[c.ID] = nil
		}
	}
	for _, l := range Lockers() {
		if slices.Equal(Counted(m.Catches[l.Name]), []string{l.Caught}) {
			alone[l.Caught] = append(alone[l.Caught], l)
		}
	}
	return alone
}

// Counted returns those of the checks that are required. The others may miss a
// defect, or are not for every backend.
func Counted(ids []string) []string {
	var counted []string
	for _, c := range Checks() {
		if c.Class == conformance.Required && slices.Contains(ids, c.ID) {
			counted = append(counted, c.ID)
		}
	}
	return counted
}

// Page is a document in Markdown about the matrix.
func (m Matrix) Page() string {
	var b strings.Builder
	alone := m.Alone()
	shared := 0
	for _, lockers := range alone {
		if len(lockers) == 0 {
			shared++
		}
	}
	fmt.Fprintf(&b, `# Which check catches which broken locker

Of %d [broken lockers](broken-lockers.md), %d were run for this record, against %d checks: all
but those of histories, which find by chance what the others look for. Of %d required checks, %d
catch a broken locker that no other required check catches: without that check, nothing
but chance would find it.

A check catches a locker if it would fail a run: it finds the locker broken, or cannot
show what it shows of the unspoiled one. Checks that are not required (%s) are not
counted; what they caught in this run, with seed %d, stands in italics.

This page, and the record that it is written from, come from

`+"```"+`
make broken-matrix
`+"```"+`

and the tests of package [broken](../conformance/broken/doc.go) say when it is stale.
They also run lockers of each line of the first table again, until one is caught by that
check alone. %s, which take longer than all others together, are run only against what
at most one other required check catches, and not again.

## What only one check catches

| Check | Rule | Broken lockers that no other required check catches |
|---|---|---|
`, len(Lockers()), len(m.Catches), len(m.Checks), len(alone), len(alone)-shared, strings.Join(m.uncounted(), ", "), m.Seed, strings.Join(Long(), " and "))
	for _, c := range Checks() {
		if lockers, required := alone[c.ID]; required {
			names := make([]string, len(lockers))
			for i, l := range lockers {
				names[i] = l.Name
			}
			if len(names) == 0 {
				names = []string{"none in this record"}
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.ID, cell(c.Rule), cell(strings.Join(names, "; ")))
		}
	}
	b.WriteString("\n## All catches\n\n| Broken locker | Named check | Others that catch it too |\n|---|---|---|\n")
	uncounted := m.uncounted()
	for _, l := range Lockers() {
		if _, run := m.Catches[l.Name]; !run {
			continue
		}
		var others []string
		for _, id := range m.Catches[l.Name] {
			switch {
			case id == l.Caught:
			case slices.Contains(uncounted, id):
				others = append(others, "*"+id+"*")
			default:
				others = append(others, id)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(l.Name), l.Caught, listed(others, len(m.Checks)))
	}
	return b.String()
}

// Long lists the checks that take longer than all others together.
func Long() []string { return []string{"F7", "H5"} }

// uncounted lists the checks that were run and are not required.
func (m Matrix) uncounted() []string {
	var ids []string
	for _, c := range Checks() {
		if c.Class != conformance.Required {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// listed abbreviates a list that is nearly all of them.
func listed(ids []string, of int) string {
	if len(ids) > of*3/4 {
		return fmt.Sprintf("%d of %d", len(ids), of-1)
	}
	return strings.Join(ids, " ")
}
