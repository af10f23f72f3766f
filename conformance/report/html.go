package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/lockerlib/locker/conformance"
)

//go:embed page.tmpl
var pageTemplate string

//go:embed evidence.tmpl
var evidenceTemplate string

//go:embed palette.css
var paletteStyle string

//go:embed page.css
var pageStyle string

//go:embed drawing.css
var drawingStyle string

//go:embed narrow.css
var narrowStyle string

//go:embed page.js
var pageScript string

var page = parse(pageTemplate)

// parse adds what all pages and drawings share.
func parse(text string) *template.Template {
	t := template.New("page").Funcs(template.FuncMap{"span": span, "clock": clock})
	return template.Must(template.Must(t.Parse(evidenceTemplate)).Parse(text))
}

// HTML writes r as one page that needs no network and no other file. It can be
// read whole without scripts; with them, cells open in place and rows can be
// filtered. Its content security policy admits the page's own style and script
// only, by their hashes, so that nothing which slipped through could run.
func HTML(w io.Writer, r *conformance.Report) error {
	return page.Execute(w, newView(visibleReport(r)))
}

// The view types below are what the template shows.
type view struct {
	Title, Headline, Time, Machine string
	Policy                         string
	Style                          template.CSS
	Script                         template.JS
	OK                             bool
	Notes                          []string
	Backends                       []backendView
	Legend                         []verdictView
	Groups                         []groupView
	Columns                        int
	Required                       string // the class that need not be mentioned
}

type backendView struct {
	Name, Server, TTL, Slack, Took string
	Counts                         []verdictView
}

type verdictView struct {
	Verdict, Symbol, Slug, Meaning string
	N                              int
}

type groupView struct {
	Name string
	Rows []rowView
}

type rowView struct {
	ID, Rule, Class, Anchor, Search string
	Cells                           []cellView
	Verdicts                        string // slugs, for the filter
}

type cellView struct {
	verdictView
	Anchor, Backend, Server string
	Result                  *conformance.Result // nil: not run
	Took                    string
	Timeline                *timeline
	Open                    bool // at once
}

// style adds the rules for narrow screens under the width at which the columns
// of that many backends no longer fit.
func style(backends int) string {
	return fmt.Sprintf("%s%s%s@media (max-width: %drem) {\n%s}\n", paletteStyle, pageStyle, drawingStyle, max(44, 20+6*backends), narrowStyle)
}

func newView(r *conformance.Report) view {
	t := newTable(r)
	css := style(len(r.Backends))
	v := view{
		Title:    "What each backend guarantees",
		Headline: headline(r),
		Time:     r.Time.UTC().Format("2 January 2006, 15:04 UTC"),
		Machine:  r.Machine,
		Policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'",
			hash(css), hash(pageScript)),
		Style:   template.CSS(css),
		Script:  template.JS(pageScript),
		OK:      OK(r),
		Notes:   r.Notes,
		Columns: len(r.Backends) + 1, Required: conformance.Required,
	}
	var all []conformance.Result
	for _, b := range r.Backends {
		all = append(all, b.Results...)
		bv := backendView{Name: b.Backend, Server: b.Server, Took: shown(b.Took), TTL: shown(b.TTL), Slack: span(b.Slack)}
		for _, c := range counts(b.Results) {
			bv.Counts = append(bv.Counts, verdictOf(c.verdict, c.n))
		}
		v.Backends = append(v.Backends, bv)
	}
	n := make(map[conformance.Verdict]int)
	for _, c := range counts(all) {
		n[c.verdict] = c.n
	}
	for _, verdict := range order {
		v.Legend = append(v.Legend, verdictOf(verdict, n[verdict]))
	}
	number := 0
	for _, g := range t.groups {
		gv := groupView{Name: g.name}
		for _, row := range g.rows {
			number++
			gv.Rows = append(gv.Rows, newRow(t, row, number))
		}
		v.Groups = append(v.Groups, gv)
	}
	return v
}

// hash is a source expression of a content security policy.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func verdictOf(v conformance.Verdict, n int) verdictView {
	l := looks[v]
	return verdictView{Verdict: string(v), Symbol: l.symbol, Slug: l.slug, Meaning: l.meaning, N: n}
}

// newRow takes anchors from numbers, because IDs may hold anything.
func newRow(t table, r row, number int) rowView {
	rv := rowView{ID: r.id, Rule: r.rule, Class: r.class, Anchor: fmt.Sprintf("check-%d", number)}
	search := []string{r.id, r.rule, r.class}
	var slugs []string
	for i, res := range r.cells {
		c := cellView{
			Anchor:  fmt.Sprintf("check-%d-%d", number, i+1),
			Backend: t.backends[i].Backend, Server: t.backends[i].Server, Result: res,
		}
		if res != nil {
			c.show()
			slugs = append(slugs, c.Slug)
			search = append(search, res.Number, res.Seen, res.Expected)
		}
		rv.Cells = append(rv.Cells, c)
	}
	rv.Verdicts = strings.Join(slugs, " ")
	rv.Search = strings.ToLower(strings.Join(search, " "))
	return rv
}

func (c *cellView) show() {
	c.verdictView = verdictOf(c.Result.Verdict, 1)
	c.Took = shown(c.Result.Took)
	if len(c.Result.Events) > 0 {
		c.Timeline = newTimeline(c.Result)
	}
}

// shown is empty for what was not measured.
func shown(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return span(d)
}
