package history

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// An Outcome is what a judge says. The zero Outcome is Legal.
type Outcome int

// The three outcomes. Unknown is never a pass: nothing was shown.
const (
	Legal Outcome = iota
	Illegal
	Unknown
)

// String returns the outcome in one word or two.
func (o Outcome) String() string {
	switch o {
	case Legal:
		return "legal"
	case Illegal:
		return "illegal"
	case Unknown:
		return "not shown"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// The properties that are judged.
const (
	Belief    = "belief"    // no two clients believe to hold a name at once
	Ownership = "ownership" // the server has one owner of a name at a time, and agrees with its clients
	Expiry    = "expiry"    // no lease ends before the deadline that its holder was told
	Fencing   = "fencing"   // a resource that refuses smaller tokens refuses every stale write, and no other
)

// Properties lists them.
func Properties() []string { return []string{Belief, Ownership, Expiry, Fencing} }

// A Finding is what one judge says about a history.
type Finding struct {
	Property string
	Judge    string
	Outcome  Outcome
	Number   string // what was looked at
	Expected string // of what is illegal
	Seen     string // of what is illegal, or why nothing was shown
	// Where to look, of what is illegal.
	Name     string
	From, To Instant
}

// String is the finding in one or two lines.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-9s  %s", f.Outcome, f.Property)
	if f.Judge != "" {
		fmt.Fprintf(&b, ", by %s", f.Judge)
	}
	if f.Number != "" {
		fmt.Fprintf(&b, ": %s", f.Number)
	}
	if f.Expected != "" {
		fmt.Fprintf(&b, "\n           expected: %s", f.Expected)
	}
	if f.Seen != "" {
		fmt.Fprintf(&b, "\n           seen: %s", strings.ReplaceAll(f.Seen, "\n", "\n                 "))
	}
	return b.String()
}

// Judge asks every judge. The time limit is that of each model of porcupine.
func Judge(h *History, limit time.Duration) []Finding { return slices.Collect(Judges(h, limit)) }

// Judges is Judge, with each finding as soon as it is there: the models may take
// long.
func Judges(h *History, limit time.Duration) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		for _, check := range []func(*History) Finding{CheckOverlaps, CheckOwnership, CheckExpiry, CheckFencing} {
			if !yield(check(h)) {
				return
			}
		}
		for _, m := range Models() {
			if !yield(CheckModel(h, m, limit)) {
				return
			}
		}
	}
}

// Sum is the one finding on a property: an Illegal one if there is any, the
// first of them being the one that explains most, else one that shows nothing,
// else the first.
func Sum(property string, all []Finding) Finding {
	var of []Finding
	for _, f := range all {
		if f.Property == property {
			of = append(of, f)
		}
	}
	for _, want := range []Outcome{Illegal, Unknown, Legal} {
		for _, f := range of {
			if f.Outcome == want {
				return f
			}
		}
	}
	return Finding{Property: property, Outcome: Unknown, Seen: "nobody judged it"}
}

// clock writes an instant.
func clock(t Instant) string {
	return fmt.Sprintf("%.3f s", t.Seconds())
}

// span writes a length of time.
func span(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d >= time.Microsecond:
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	}
	return fmt.Sprintf("%d ns", d.Nanoseconds())
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
