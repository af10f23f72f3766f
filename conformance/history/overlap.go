package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Overlap is a time in which two clients believed to hold a name, or one
// client twice without re-entering.
type Overlap struct {
	First, Second Hold // Second began later
	From, To      Instant
	// Excused means that First had been removed on the server from outside,
	// which its client could not know before it was told.
	Excused bool
}

// Length is how long it lasted.
func (o Overlap) Length() time.Duration { return o.To - o.From }

// String explains it in plain words.
func (o Overlap) String() string {
	a, b := o.First, o.Second
	text := fmt.Sprintf("%s and %s both believed to hold %q for %s, from %s to %s.\n%s\n%s",
		who(a), who(b), a.Name, span(o.Length()), clock(o.From), clock(o.To), a.tell(), b.tell())
	if o.Excused {
		text += "\nThe hold of " + a.Client + " had been removed on the server from outside."
	}
	return text
}

func who(l Hold) string {
	if l.Owner == "" {
		return l.Client
	}
	return fmt.Sprintf("%s (owner %q)", l.Client, l.Owner)
}

// tell says what the client of a hold knew.
func (l Hold) tell() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s got it at %s", who(l), clock(l.Got))
	if l.Token != 0 { // else the library has none
		fmt.Fprintf(&b, " with token %d", l.Token)
	}
	if l.Deadline != 0 {
		fmt.Fprintf(&b, ", certain until %s", clock(l.Deadline))
	}
	switch {
	case l.Gone != 0 && (l.Release == 0 || l.Gone < l.Release):
		if l.Closed {
			fmt.Fprintf(&b, ", and was closed at %s", clock(l.Gone))
		} else {
			fmt.Fprintf(&b, ", and crashed at %s", clock(l.Gone))
		}
	case l.Done != 0 && l.Lost != "":
		fmt.Fprintf(&b, ", and was told of its loss (%s) at %s", l.Lost, clock(l.Done))
	case l.Release != 0:
		fmt.Fprintf(&b, ", and released it at %s", clock(l.Release))
	default:
		b.WriteString(", and never let go")
	}
	return b.String() + "."
}

// Overlaps lists what two clients believed at once, in the order of time.
func Overlaps(h *History) []Overlap {
	var found []Overlap
	names, of := byName(h.tenures())
	for _, name := range names {
		var live []belief
		for _, b := range of[name] {
			live = slices.DeleteFunc(live, func(a belief) bool { return a.to <= b.from })
			for _, a := range live {
				to := min(a.to, b.to)
				if to <= b.from || b.Owner != "" && a.Client == b.Client && a.Owner == b.Owner {
					continue
				}
				// Which of the two was removed does not matter: it is one
				// that is allowed to be wrong.
				certain := min(a.certain(), b.certain())
				o := Overlap{First: *a.Hold, Second: *b.Hold, From: b.from, To: to, Excused: certain <= b.from}
				if !o.Excused {
					o.To = min(to, certain)
				}
				found = append(found, o)
			}
			live = append(live, b)
		}
	}
	slices.SortStableFunc(found, func(a, b Overlap) int { return cmp.Compare(a.From, b.From) })
	return found
}

// CheckOverlaps compares what clients believed, pair by pair. It convicts for
// every overlap that no removal from outside explains, and measures those that
// one does.
func CheckOverlaps(h *History) Finding {
	f := Finding{Property: Belief, Judge: "intervals", Expected: ""}
	var violations, excused []Overlap
	for _, o := range Overlaps(h) {
		if o.Excused {
			excused = append(excused, o)
		} else {
			violations = append(violations, o)
		}
	}
	f.Number = fmt.Sprintf("%s, %s believed", plural(len(h.Holds), "hold"), plural(len(violations), "overlap"))
	if len(excused) > 0 {
		f.Number += fmt.Sprintf(", %d after a removal (longest %s)", len(excused), span(longest(excused).Length()))
	}
	if len(violations) == 0 {
		return f
	}
	worst := longest(violations)
	f.Outcome, f.Name, f.From, f.To = Illegal, worst.First.Name, worst.From, worst.To
	f.Expected = "a client has stopped believing in its hold before another one has got the name"
	f.Seen = worst.String()
	if len(violations) > 1 {
		f.Seen += fmt.Sprintf("\nThis is the longest of %d overlaps; the first began at %s.", len(violations), clock(violations[0].From))
	}
	return f
}

func longest(list []Overlap) Overlap {
	return slices.MaxFunc(list, func(a, b Overlap) int { return cmp.Compare(a.Length(), b.Length()) })
}
