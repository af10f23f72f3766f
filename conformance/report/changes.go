package report

import (
	"fmt"
	"io"
	"slices"

	"github.com/lockerlib/locker/conformance"
)

// A Change is one cell of the matrix that differs between two reports.
type Change struct {
	Backend string
	ID      string
	Rule    string
	From    conformance.Verdict // "": it was not run
	To      conformance.Verdict // "": it was not run
	Seen    string              // in the newer one
}

// Worse reports whether what was green is not any more, or has gone: a check
// that is not run proves nothing.
func (c Change) Worse() bool { return c.From.Green() && !c.To.Green() }

// Better reports whether what was not green now is.
func (c Change) Better() bool { return c.From != "" && !c.From.Green() && c.To.Green() }

// Changes lists what differs, in the order of the older report, and then what
// only the newer one has. A backend that the newer report lacks altogether was
// not asked for, and is listed as one change for each of its checks.
func Changes(before, after *conformance.Report) []Change {
	newer := make(map[[2]string]conformance.Result)
	older := make(map[[2]string]bool)
	for _, b := range after.Backends {
		for _, res := range b.Results {
			newer[[2]string{b.Backend, res.ID}] = res
		}
	}
	var list []Change
	for _, b := range before.Backends {
		for _, res := range b.Results {
			key := [2]string{b.Backend, res.ID}
			older[key] = true
			if now := newer[key]; now.Verdict != res.Verdict {
				list = append(list, Change{b.Backend, res.ID, res.Rule, res.Verdict, now.Verdict, now.Seen})
			}
		}
	}
	for _, b := range after.Backends {
		for _, res := range b.Results {
			if !older[[2]string{b.Backend, res.ID}] {
				list = append(list, Change{b.Backend, res.ID, res.Rule, "", res.Verdict, res.Seen})
			}
		}
	}
	return list
}

// WriteChanges writes them, what got worse first, and reports whether anything
// did.
func WriteChanges(w io.Writer, changes []Change) (worse bool, err error) {
	order := []struct {
		title string
		is    func(Change) bool
	}{
		{"Worse", Change.Worse},
		{"Better", Change.Better},
		{"Otherwise different", func(c Change) bool { return !c.Worse() && !c.Better() }},
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "Every check has the verdict that it had.")
		return false, err
	}
	for _, o := range order {
		some := slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !o.is(c) })
		if len(some) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s: %d\n", o.title, len(some)); err != nil {
			return false, err
		}
		for _, c := range some {
			line := fmt.Sprintf("  %s on %s: %s, was %s", clean(c.ID), clean(c.Backend), said(c.To), said(c.From))
			if c.Worse() && c.Seen != "" {
				line += "; " + clean(firstLine(c.Seen))
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return false, err
			}
		}
	}
	return slices.ContainsFunc(changes, Change.Worse), nil
}

func said(v conformance.Verdict) string {
	if v == "" {
		return "not run"
	}
	return string(v)
}
