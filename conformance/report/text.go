package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/lockerlib/locker/conformance"
)

// TextOptions say what the terminal can do.
type TextOptions struct {
	Width  int  // columns; 0 means 100. Below 60 counts as 60.
	Colour bool // use SGR colour sequences
}

const (
	idWidth  = 6
	gap      = 2
	maxCell  = 15
	minCell  = 10
	minRule  = 22
	wideCell = 32 // with few backends, cells get what a rule of wideRule leaves
	wideRule = 46
	maxWidth = 100
	minWidth = 60
)

// Text writes the matrix of r, a legend, the backends, and below that what
// everything that is not green has to say. No line is wider than the terminal,
// nor than 100 columns, except for commands, which must stay in one piece.
func Text(w io.Writer, r *conformance.Report, o TextOptions) error {
	if o.Width == 0 {
		o.Width = maxWidth
	}
	p := &printer{width: min(max(o.Width, minWidth), maxWidth), colour: o.Colour}
	r = visibleReport(r)
	t := newTable(r)
	for _, l := range fold(headline(r), p.width, 0) {
		p.line(p.paint("1", l))
	}
	for _, n := range r.Notes {
		p.wrapped("Note: ", n)
	}
	p.line("")
	p.matrix(t)
	p.legend(t)
	p.backends(t)
	p.declared(t)
	p.notGreen(t)
	_, err := io.WriteString(w, p.out.String())
	return err
}

// A printer collects the text, so that there is one error to look at.
type printer struct {
	out    strings.Builder
	width  int
	colour bool
}

func (p *printer) line(s string) { p.out.WriteString(strings.TrimRight(s, " ") + "\n") }

// paint colours s, which must be clean already.
func (p *printer) paint(sgr, s string) string {
	if !p.colour || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

// matrix prints as many backends side by side as fit, and the rest below.
func (p *printer) matrix(t table) {
	most := max(1, (p.width-idWidth-minRule)/(minCell+gap))
	for from := 0; from < len(t.backends); from += most {
		p.block(t, from, min(from+most, len(t.backends)))
		p.line("")
	}
}

func (p *printer) block(t table, from, to int) {
	n := to - from
	room := p.width - idWidth - n*gap
	cell := max(min(maxCell, (room-minRule)/n), min(wideCell, (room-wideRule)/n))
	rule := p.width - idWidth - n*(cell+gap)
	for _, g := range t.groups {
		heads := make([][]string, n)
		for i := range heads {
			heads[i] = fold(t.backends[from+i].Backend, cell, 2)
		}
		p.grid(fold(g.name, idWidth+rule, 2), idWidth+rule, heads, cell,
			func(s string) string { return p.paint("1", s) },
			func(_ int, s string) string { return p.paint("2", s) })
		for _, r := range g.rows {
			left := fold(r.rule, rule, 4)
			for i := range left {
				id := ""
				if i == 0 {
					id = clean(r.id)
				}
				left[i] = pad(" "+id, idWidth) + left[i]
			}
			cells := make([][]string, n)
			for i := range cells {
				cells[i] = cellText(r.cells[from+i], cell)
			}
			p.grid(left, idWidth+rule, cells, cell,
				func(s string) string { return s },
				func(i int, s string) string {
					if res := r.cells[from+i]; res != nil {
						return p.paint(looks[res.Verdict].colour, s)
					}
					return p.paint("2", s)
				})
		}
	}
}

// grid prints one row of the matrix over as many lines as its highest cell.
func (p *printer) grid(left []string, leftWidth int, cells [][]string, width int,
	paintLeft func(string) string, paintCell func(int, string) string) {
	height := len(left)
	for _, c := range cells {
		height = max(height, len(c))
	}
	for y := range height {
		var b strings.Builder
		text := at(left, y)
		b.WriteString(paintLeft(text) + padding(text, leftWidth))
		for i, c := range cells {
			text := at(c, y)
			b.WriteString(strings.Repeat(" ", gap) + paintCell(i, text) + padding(text, width))
		}
		p.line(b.String())
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// cellText is the symbol and the number, or the verdict where there is none.
func cellText(res *conformance.Result, width int) []string {
	if res == nil {
		return []string{"· not run"}
	}
	what := res.Number
	if what == "" {
		what = string(res.Verdict)
	}
	lines := fold(what, width-2, 3)
	for i := range lines {
		if i == 0 {
			lines[i] = looks[res.Verdict].symbol + " " + lines[i]
		} else {
			lines[i] = "  " + lines[i]
		}
	}
	return lines
}

func (p *printer) legend(t table) {
	for _, v := range order {
		p.wrappedPainted(looks[v].colour, fmt.Sprintf("%s %-12s", looks[v].symbol, v), looks[v].meaning)
	}
	for _, g := range t.groups {
		for _, r := range g.rows {
			for _, c := range r.cells {
				if c == nil {
					p.line("· not run       not asked for on this backend")
					return
				}
			}
		}
	}
}

func (p *printer) backends(t table) {
	p.line("")
	name := 0
	for _, b := range t.backends {
		name = max(name, utf8.RuneCountInString(clean(b.Backend)))
	}
	for _, b := range t.backends {
		var parts []string
		for _, c := range counts(b.Results) {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.verdict))
		}
		about := b.Server
		if b.TTL > 0 {
			about += fmt.Sprintf(" (T %s, S %s)", span(b.TTL), span(b.Slack))
		}
		about += ": " + strings.Join(parts, ", ")
		if b.Took > 0 {
			about += "; took " + span(b.Took)
		}
		p.wrapped(pad(clean(b.Backend), name)+"  ", about)
	}
}

// declared says in one line each what gave way, because a green cell that hides
// a double hold would be a lie, and what this backend cannot show.
func (p *printer) declared(t table) {
	p.brief(t, "Gives way, as declared", func(res *conformance.Result) bool { return res.Verdict == conformance.GivesWay })
	p.brief(t, "Cannot be shown here, as declared", func(res *conformance.Result) bool { return unshown(res) && declaredAway(res) })
	p.brief(t, "Optional, and not shown here", func(res *conformance.Result) bool { return unshown(res) && !declaredAway(res) })
}

// unshown reports whether a result is not green, and need not be.
func unshown(res *conformance.Result) bool { return res.OK() && !res.Verdict.Green() }

// declaredAway reports whether a profile gives the reason why a power is
// missing. A missing power that nobody declared has none.
func declaredAway(res *conformance.Result) bool {
	missing, ok := strings.CutPrefix(res.Seen, "the rig has no ")
	return ok && strings.Contains(missing, ": ")
}

func (p *printer) brief(t table, title string, which func(*conformance.Result) bool) {
	first := true
	t.each(func(b *conformance.BackendReport, res *conformance.Result) {
		if !which(res) {
			return
		}
		if first {
			p.line("")
			p.line(p.paint("1", title))
			first = false
		}
		p.wrapped(fmt.Sprintf("  %s on %s: ", clean(res.ID), clean(b.Backend)), firstOf(res.Seen, res.Number, res.Rule))
	})
}

func (p *printer) notGreen(t table) {
	first := true
	t.each(func(b *conformance.BackendReport, res *conformance.Result) {
		if res.OK() {
			return
		}
		if first {
			p.line("")
			p.line(p.paint("1", "Not green"))
			first = false
		}
		p.line("")
		l := looks[res.Verdict]
		p.line(p.paint(l.colour, fmt.Sprintf("%s %s on %s: %s", l.symbol, clean(res.ID), clean(b.Backend), res.Verdict)))
		p.wrapped("  rule      ", res.Rule)
		if len(res.Done) > 0 {
			p.wrapped("  done      ", strings.Join(res.Done, "; "))
		}
		if res.Expected != "" {
			p.wrapped("  expected  ", res.Expected)
		}
		if res.Seen != "" {
			p.wrapped("  seen      ", res.Seen)
		}
		if drawn := newTimeline(res).Sentence; len(res.Events) > 0 && drawn != inOneSentence(res.Seen) {
			p.wrapped("  timeline  ", drawn)
		}
		if res.Repeat != "" {
			p.line("  repeat    " + clean(res.Repeat))
		}
		if res.Recheck != "" {
			p.line("  recheck   " + clean(res.Recheck))
		}
	})
}

// each visits the results in the order of the matrix.
func (t table) each(visit func(*conformance.BackendReport, *conformance.Result)) {
	for _, g := range t.groups {
		for _, r := range g.rows {
			for i, c := range r.cells {
				if c != nil {
					visit(t.backends[i], c)
				}
			}
		}
	}
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func (p *printer) wrapped(label, s string) { p.wrappedPainted("", label, s) }

// wrappedPainted prints s behind label, its further lines indented under it.
func (p *printer) wrappedPainted(sgr, label, s string) {
	indent := utf8.RuneCountInString(label)
	for i, l := range fold(s, p.width-indent, 0) {
		head := strings.Repeat(" ", indent)
		if i == 0 {
			head = label
			if sgr != "" {
				head = p.paint(sgr, label)
			}
		}
		p.line(head + l)
	}
}

func pad(s string, width int) string { return s + padding(s, width) }

func padding(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// fold cleans s and breaks it into lines of at most width runes, at spaces
// where it can. With most > 0 the last line allowed ends in "…" if there was
// more.
func fold(s string, width, most int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(clean(s)) {
		for utf8.RuneCountInString(word) > width {
			room := width
			if line != "" {
				room = width - utf8.RuneCountInString(line) - 1
				if room < 8 {
					lines, line = append(lines, line), ""
					continue
				}
				line += " "
			}
			r := []rune(word)
			lines, line, word = append(lines, line+string(r[:room])), "", string(r[room:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	if most > 0 && len(lines) > most {
		last := []rune(lines[most-1])
		if len(last) >= width {
			last = last[:width-1]
		}
		lines = append(lines[:most-1], string(last)+"…")
	}
	return lines
}
