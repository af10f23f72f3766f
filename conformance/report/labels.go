package report

import "unicode/utf8"

// Two screens are drawn for at once. A text has the same size on both, so that
// it takes a greater part of the narrow one. In characters of the drawing's
// font, this is what they hold.
const (
	narrowColumns = 44
	wideColumns   = 110
)

// part is how much of a drawing that many columns wide a text takes, in percent.
func part(text string, columns float64) float64 {
	return 100 * float64(utf8.RuneCountInString(text)+1) / columns
}

// fit says on which screens a text has room in w percent.
func fit(w float64, text string) string {
	switch {
	case text == "":
		return "never"
	case part(text, narrowColumns) <= w:
		return "always"
	case part(text, wideColumns) <= w:
		return "wide"
	}
	return "never"
}

// A spot is where a text may be put: beginning, centred or ending at a place
// across, in percent.
type spot struct {
	at     float64
	anchor string
}

func (p spot) extent(w float64) extent {
	switch p.anchor {
	case "middle":
		return extent{p.at - w/2, p.at + w/2}
	case "end":
		return extent{p.at - w, p.at}
	}
	return extent{p.at, p.at + w}
}

// An extent is a part of a row, in percent.
type extent struct{ from, to float64 }

func (e extent) free(taken []extent) bool {
	if e.from < -0.5 || e.to > 100.5 {
		return false
	}
	for _, t := range taken {
		if e.from < t.to && t.from < e.to {
			return false
		}
	}
	return true
}

// A shelf is a place for texts, of which no two may lie on each other on either
// screen. It has rows, and gets as many as it needs, up to a limit.
type shelf struct {
	limit int
	rows  []shelfRow
}

type shelfRow struct{ narrow, wide []extent }

// put finds a row for a text at one of the spots, the first that is free. What
// has no room on the narrow screen is shown on the wide one only; what has none
// there either is not shown.
func (s *shelf) put(text string, spots ...spot) (row int, where spot, fit string) {
	if text == "" {
		return 0, spots[0], "never"
	}
	for _, fit := range []string{"always", "wide"} {
		for row := range s.limit {
			if row == len(s.rows) {
				s.rows = append(s.rows, shelfRow{})
			}
			r := &s.rows[row]
			for _, p := range spots {
				narrow, wide := p.extent(part(text, narrowColumns)), p.extent(part(text, wideColumns))
				if !wide.free(r.wide) || fit == "always" && !narrow.free(r.narrow) {
					continue
				}
				r.wide = append(r.wide, wide)
				if fit == "always" {
					r.narrow = append(r.narrow, narrow)
				}
				return row, p, fit
			}
		}
	}
	return 0, spots[0], "never"
}

// used is how many rows have a text.
func (s *shelf) used() int {
	n := 0
	for i, r := range s.rows {
		if len(r.wide) > 0 {
			n = i + 1
		}
	}
	return n
}
