package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/lockerlib/locker/conformance"
)

// maxDrawn bounds the drawing of one check, and maxListed the list under it: a
// picture of ten thousand bars shows nothing, and weighs megabytes.
const (
	maxDrawn  = 240
	maxListed = 400
)

// A timeline is a drawing. Positions across are percentages, so that it fits
// every screen with letters of one size; positions down are pixels.
type timeline struct {
	Sentence string
	Alarm    bool // two holds overlap
	Height   int
	Lanes    []lane
	Faults   []mark // over all lanes
	Clashes  []mark
	Ticks    []mark
	AxisY    int
	Listed   []conformance.Event
	Total    int
	Left     string // what was not drawn
}

type lane struct {
	Label  string
	Y, H   int // the whole lane
	LabelY int
	Bars   []bar
	Faults []mark
	Notes  []mark
	texts  shelf // of faults and notes
}

type bar struct {
	Class string // wait, hold, after
	mark
	Y, H int
	Open bool // no end was recorded
}

// A mark has a place and a text. Fit says where the text has room: "always",
// "wide" (on a wide screen) or "never" (it is only in the tooltip).
type mark struct {
	X, W   string
	Text   string
	Title  string
	Fit    string
	Anchor string // of the text: start, middle, end
	Y, H   int
	Row    int // of the text
	TextX  string
	TextY  int
}

// Bottom is where the mark ends.
func (m mark) Bottom() int { return m.Y + m.H }

// DX keeps the text off the line at which it begins or ends.
func (m mark) DX() int {
	if m.Anchor == "end" {
		return -5
	}
	return 5
}

const (
	labelHeight = 18
	barHeight   = 20
	barGap      = 3
	laneGap     = 8
	faultHeight = 18
	clashHeight = 18
	axisHeight  = 22
	maxRows     = 3 // of texts
)

// newTimeline draws the events of a result; with many it draws a window, which
// holds the worst overlap if there is one. The sentence on top speaks of what
// can be seen, or else of what was found.
func newTimeline(res *conformance.Result) *timeline {
	events, green := res.Events, res.Verdict.Green() && res.Verdict != conformance.GivesWay
	all := read(events)
	clashes := notable(all.clashes(), green)
	t := &timeline{Sentence: all.sentence(clashes), Alarm: len(clashes) > 0, Total: len(events)}
	if finding := inOneSentence(res.Seen); res.Verdict == conformance.Broken && finding != "" && !t.Alarm {
		t.Sentence, t.Alarm = finding, true
	}
	t.Listed = slices.Clone(events)
	slices.SortStableFunc(t.Listed, func(a, b conformance.Event) int { return cmp.Compare(a.At, b.At) })
	if len(t.Listed) > maxDrawn {
		from := window(t.Listed, clashes)
		drawn := t.Listed[from : from+maxDrawn]
		t.Left = fmt.Sprintf("Drawn are %d of %s events, from %s to %s.", maxDrawn, thousands(len(events)),
			clock(drawn[0].At), clock(drawn[len(drawn)-1].At))
		t.Listed = t.Listed[from:min(from+maxListed, len(t.Listed))]
		all = read(drawn)
		clashes = notable(all.clashes(), green)
		t.draw(all, clashes, drawn, drawn[0].At)
		return t
	}
	t.draw(all, clashes, t.Listed, 0)
	return t
}

// window picks the first event to draw.
func window(events []conformance.Event, clashes []clash) int {
	if len(clashes) == 0 {
		return 0
	}
	worst := slices.MaxFunc(clashes, func(a, b clash) int { return cmp.Compare(a.length(), b.length()) })
	i := slices.IndexFunc(events, func(e conformance.Event) bool { return e.At >= worst.a.from })
	return min(max(i-maxDrawn/4, 0), len(events)-maxDrawn)
}

// A scale maps times to percentages.
type scale struct{ from, length time.Duration }

func (s scale) part(d time.Duration) float64 { return 100 * float64(d-s.from) / float64(s.length) }
func (s scale) x(d time.Duration) string     { return percent(s.part(d)) }
func (s scale) w(from, to time.Duration) string {
	return percent(max(s.part(to)-s.part(from), 0.3))
}

func percent(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + "%" }

func (t *timeline) draw(s story, clashes []clash, events []conformance.Event, from time.Duration) {
	sc := scale{from: from, length: max(s.end-from, 1)}
	over := shelf{limit: maxRows}
	for _, f := range s.faults {
		if f.client == "" {
			t.Faults = append(t.Faults, faultMark(sc, f, &over))
		}
	}
	y := over.used() * faultHeight
	names := make(map[string]bool)
	for _, e := range events {
		if e.Name != "" {
			names[e.Name] = true
		}
	}
	for _, c := range clients(events) {
		l := s.lane(sc, c, len(names) > 1)
		l.place(y)
		y += l.H + laneGap
		t.Lanes = append(t.Lanes, l)
	}
	for i := range t.Faults {
		t.Faults[i].Y, t.Faults[i].H = 0, y-laneGap
		t.Faults[i].TextY = 13 + t.Faults[i].Row*faultHeight
	}
	// The longest one gets its label first.
	slices.SortStableFunc(clashes, func(a, b clash) int { return cmp.Compare(b.length(), a.length()) })
	under := shelf{limit: maxRows}
	for _, c := range clashes {
		m := clashMark(sc, c, &under)
		m.Y, m.H = t.between(c.a.client, c.b.client)
		m.TextY = y + m.Row*clashHeight + 12
		t.Clashes = append(t.Clashes, m)
	}
	y += under.used() * clashHeight
	t.AxisY = y
	t.Ticks = ticks(sc, s.end)
	t.Height = y + axisHeight
}

// between is the part of the drawing from one client's lane to the other's.
func (t *timeline) between(a, b string) (y, h int) {
	y, bottom := -1, 0
	for _, l := range t.Lanes {
		if l.Label != a && l.Label != b {
			continue
		}
		if y < 0 {
			y = l.Y
		}
		bottom = l.Y + l.H
	}
	return max(y, 0), bottom - max(y, 0)
}

// lane stacks what a client did at the same time under several names.
func (s *story) lane(sc scale, client string, named bool) lane {
	l := lane{Label: client, texts: shelf{limit: maxRows}}
	type item struct {
		stretch
		class string
	}
	var items []item
	for class, part := range map[string][]stretch{"wait": s.waits, "hold": s.holds, "untold": s.untold, "after": s.after} {
		for _, st := range part {
			if st.client == client {
				items = append(items, item{st, class})
			}
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(b.class, a.class), cmp.Compare(a.name, b.name))
	})
	var rows []time.Duration // until when each row is taken
	for _, it := range items {
		y := slices.IndexFunc(rows, func(until time.Duration) bool { return until <= it.from })
		if y < 0 {
			y = len(rows)
			rows = append(rows, 0)
		}
		rows[y] = it.to
		l.Bars = append(l.Bars, newBar(sc, it.stretch, it.class, y, named))
	}
	for _, f := range s.faults {
		if f.client == client {
			l.Faults = append(l.Faults, faultMark(sc, f, &l.texts))
		}
	}
	for _, e := range s.notes {
		if e.Client == client {
			l.Notes = append(l.Notes, noteMark(sc, e, &l.texts))
		}
	}
	l.H = labelHeight + max(len(rows), 1)*(barHeight+barGap) + l.texts.used()*faultHeight
	return l
}

// place moves the lane down to y.
func (l *lane) place(y int) {
	l.Y, l.LabelY = y, y+13
	for i := range l.Bars {
		b := &l.Bars[i]
		b.Y = y + labelHeight + b.Y*(barHeight+barGap)
		b.H = barHeight
	}
	texts := y + l.H - l.texts.used()*faultHeight // below the bars
	for i := range l.Faults {
		f := &l.Faults[i]
		f.Y, f.H, f.TextY = y, l.H, texts+f.Row*faultHeight+13
	}
	for i := range l.Notes {
		n := &l.Notes[i]
		n.Y, n.H, n.TextY = y+labelHeight, l.H-labelHeight, texts+n.Row*faultHeight+13
	}
}

func newBar(sc scale, st stretch, class string, row int, named bool) bar {
	b := bar{Class: class, Y: row, Open: st.end == open}
	b.X, b.W = sc.x(st.from), sc.w(st.from, st.to)
	w := sc.part(st.to) - sc.part(st.from)
	during := fmt.Sprintf("from %s to %s (%s)", clock(st.from), clock(st.to), span(st.to-st.from))
	texts := map[string][2]string{
		"wait":   {"waits", "waits for"},
		"hold":   {"#" + strconv.FormatUint(st.token, 10), "holds"},
		"untold": {"not told", "is not told yet of the end of"},
		"after":  {"after loss", "goes on after the loss of"},
	}
	if st.token == 0 && class == "hold" {
		texts["hold"] = [2]string{"holds", "holds"}
	}
	b.Text = texts[class][0]
	if named && fit(w, st.name+" "+b.Text) != "never" {
		b.Text = st.name + " " + b.Text
	}
	b.Title = fmt.Sprintf("%s %s %s %s", st.client, texts[class][1], quoted(st.name), during)
	if st.token != 0 {
		b.Title += fmt.Sprintf(", token %d", st.token)
	}
	switch {
	case st.end == lost:
		b.Title += ", lost"
	case st.end == crashed:
		b.Title += ", ended with the client"
	case st.end == taken:
		b.Title += ", removed on the server"
	case st.end == open && class == "hold":
		b.Title += ", still held at the end"
	}
	b.Fit = fit(w, b.Text)
	return b
}

// ticks divides the axis at round times.
func ticks(sc scale, end time.Duration) []mark {
	step := time.Nanosecond
	for _, factor := range cycle(2, 2.5, 2) { // 1, 2, 5, 10, 20, 50, …
		if sc.length/step <= 5 {
			break
		}
		step = time.Duration(float64(step) * factor)
	}
	var list []mark
	first := sc.from.Truncate(step)
	if first < sc.from {
		first += step
	}
	for d := first; d <= end; d += step {
		m := mark{X: sc.x(d), Text: clock(d), Anchor: "middle"}
		switch p := sc.part(d); {
		case p < 4:
			m.Anchor = "start"
		case p > 96:
			m.Anchor = "end"
		}
		list = append(list, m)
	}
	return list
}

// cycle yields the factors over and over.
func cycle(factors ...float64) func(func(int, float64) bool) {
	return func(yield func(int, float64) bool) {
		for i := 0; yield(i, factors[i%len(factors)]); i++ {
		}
	}
}
