package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/history"
)

//go:embed history.tmpl
var historyTemplate string

var historyPage = parse(historyTemplate)

type historyView struct {
	Title, Headline, About, Note string
	Policy                       string
	Style                        template.CSS
	OK                           bool
	Cells                        []cellView
}

// History writes one history, and the results that conformance.Recheck has for
// it, as a page that needs no network, no script and no other file. What is
// broken is open, with its timeline.
func History(w io.Writer, h *history.History, results []conformance.Result) error {
	css := paletteStyle + pageStyle + drawingStyle
	v := historyView{
		Title: "What a history shows",
		About: fmt.Sprintf("%s · %s and %s in %s · TTL %s · seed %d",
			strings.Join(slices.DeleteFunc([]string{clean(h.Backend), visible(h.Server)}, func(s string) bool { return s == "" }), ", "),
			plural(len(h.Holds), "hold"), plural(len(h.Faults), "fault"), span(h.Took), span(h.TTL), h.Seed),
		Note:   visible(h.About),
		Policy: fmt.Sprintf("default-src 'none'; style-src '%s'; base-uri 'none'; form-action 'none'", hash(css)),
		Style:  template.CSS(css),
	}
	v.Headline, v.OK = sum(results)
	for i, res := range results {
		shown := visibleResult(res)
		c := cellView{Anchor: fmt.Sprintf("check-%d", i+1), Backend: clean(h.Backend), Server: visible(h.Server), Result: &shown}
		c.show()
		c.Open = &results[i] == Worst(results) || res.Verdict == conformance.Broken
		v.Cells = append(v.Cells, c)
	}
	return historyPage.Execute(w, v)
}

// sum says what is worst about a history, and whether it is nothing.
func sum(results []conformance.Result) (text string, ok bool) {
	i := slices.IndexFunc(results, func(r conformance.Result) bool { return r.Verdict == conformance.Broken })
	if i >= 0 {
		return inOneSentence(visible(results[i].Seen)), false
	}
	for _, r := range results {
		if !r.Verdict.Green() {
			return "Nothing is wrong in it, and not every property was shown.", false
		}
	}
	return "Every property was kept.", true
}

// Worst returns the result of a history that is most worth a drawing: one that
// is broken, or else the first. It is nil if there is none.
func Worst(results []conformance.Result) *conformance.Result {
	for i := range results {
		if results[i].Verdict == conformance.Broken {
			return &results[i]
		}
	}
	if len(results) == 0 {
		return nil
	}
	return &results[0]
}

// errNoEvents is for a result that has nothing to draw.
var errNoEvents = errors.New("report: the result has no events")
