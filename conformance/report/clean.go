package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/lockerlib/locker/conformance"
)

// clean makes s safe to print: one line, nothing that moves the cursor, changes
// the colour or reorders the text.
func clean(s string) string { return strings.ReplaceAll(visible(s), "\n", " ") }

// visible is clean, but keeps line ends.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return '�'
		}
		return r
	}, s)
}

// distinct makes a name visible so that different names stay different.
func distinct(name string) string {
	quoted := strconv.Quote(name)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// visibleReport is a copy of r in which every text is visible. Escaping keeps
// markup from acting, but not a name from turning the words around it.
func visibleReport(r *conformance.Report) *conformance.Report {
	c := *r
	c.Machine = visible(r.Machine)
	c.Notes = visibleAll(r.Notes)
	c.Backends = make([]conformance.BackendReport, len(r.Backends))
	for i, b := range r.Backends {
		b.Backend, b.Server = clean(b.Backend), visible(b.Server)
		results := make([]conformance.Result, len(b.Results))
		for j, res := range b.Results {
			results[j] = visibleResult(res)
		}
		b.Results = results
		c.Backends[i] = b
		c.Notes = append(c.Notes, doneAgain(b)...)
	}
	return &c
}

// doneAgain tells of every try that counted for nothing, so that none is hidden.
func doneAgain(b conformance.BackendReport) (notes []string) {
	for _, res := range b.Results {
		for _, v := range res.Void {
			notes = append(notes, fmt.Sprintf("%s on %s was done again: %s", res.ID, b.Backend, firstLine(v)))
		}
	}
	return notes
}

func visibleResult(res conformance.Result) conformance.Result {
	for _, s := range []*string{&res.ID, &res.Group, &res.Class, &res.Number} {
		*s = clean(*s)
	}
	for _, s := range []*string{&res.Rule, &res.Expected, &res.Seen, &res.Repeat, &res.Recheck} {
		*s = visible(*s)
	}
	res.Done, res.Void = visibleAll(res.Done), visibleAll(res.Void)
	events := make([]conformance.Event, len(res.Events))
	for i, e := range res.Events {
		e.Client, e.Kind, e.Name, e.Text = clean(e.Client), clean(e.Kind), distinct(e.Name), clean(e.Text)
		events[i] = e
	}
	res.Events = events
	return res
}

func visibleAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = visible(s)
	}
	return out
}
