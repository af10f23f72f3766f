package report

import (
	"fmt"
	"unicode/utf8"

	"github.com/lockerlib/locker/conformance"
)

func faultMark(sc scale, f fault, texts *shelf) mark {
	m := mark{X: sc.x(f.from), W: sc.w(f.from, f.to), Text: firstOf(f.text, "fault")}
	m.Title = fmt.Sprintf("%s at %s", m.Text, clock(f.from))
	switch {
	case f.to == f.from:
		m.W = "0"
	case f.healed:
		m.Title = fmt.Sprintf("%s from %s to %s (%s)", m.Text, clock(f.from), clock(f.to), span(f.to-f.from))
	default:
		m.Title += ", not healed"
	}
	// The text begins at the band and may run over its end, or ends there.
	at := sc.part(f.from)
	m.label(texts, spot{at, "start"}, spot{at, "end"})
	return m
}

// maxNote is how long the text of a note may be to be written out. What an
// error says is in the list below.
const maxNote = 28

func noteMark(sc scale, e conformance.Event, texts *shelf) mark {
	m := mark{X: sc.x(e.At), Text: firstOf(e.Text, e.Kind), Fit: "never"}
	m.Title = clock(e.At) + ": " + m.Text
	if at := sc.part(e.At); utf8.RuneCountInString(m.Text) <= maxNote {
		m.label(texts, spot{at, "start"}, spot{at, "end"})
	}
	return m
}

func clashMark(sc scale, c clash, texts *shelf) mark {
	who := c.a.client + " and " + c.b.client
	if c.a.client == c.b.client {
		who = c.a.client + " twice"
	}
	m := mark{
		X: sc.x(c.from), W: sc.w(c.from, c.to),
		Text:  "overlap " + span(c.length()),
		Title: fmt.Sprintf("overlap: %s held %s from %s to %s (%s)", who, quoted(c.a.name), clock(c.from), clock(c.to), span(c.length())),
	}
	from, to := sc.part(c.from), sc.part(c.to)
	m.label(texts, spot{(from + to) / 2, "middle"}, spot{from, "start"}, spot{to, "end"})
	return m
}

// label puts the text at one of the spots.
func (m *mark) label(texts *shelf, spots ...spot) {
	var where spot
	m.Row, where, m.Fit = texts.put(m.Text, spots...)
	m.TextX, m.Anchor = percent(where.at), where.anchor
}
