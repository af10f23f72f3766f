package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockerlib/locker/conformance"
)

// A look is how a verdict is shown. The symbol tells the verdicts apart where
// there is no colour.
type look struct {
	symbol  string
	slug    string // for CSS classes
	colour  string // SGR parameters for a terminal
	meaning string
}

// order is the order of the verdicts in legends and counts.
var order = []conformance.Verdict{
	conformance.Holds, conformance.GivesWay, conformance.Refuses,
	conformance.Broken, conformance.NotShown, conformance.StaleClaim,
}

var looks = map[conformance.Verdict]look{
	conformance.Holds:      {"✓", "holds", "32", "the rule held"},
	conformance.GivesWay:   {"≈", "gives-way", "33", "declared not to hold, and the counter-example was produced"},
	conformance.Refuses:    {"⊘", "refuses", "36", "not offered, and refused cleanly"},
	conformance.Broken:     {"✗", "broken", "1;31", "the rule did not hold"},
	conformance.NotShown:   {"?", "not-shown", "1;35", "the rig could not do it, or the run proved nothing"},
	conformance.StaleClaim: {"!", "stale-claim", "1;35", "declared not to hold, yet it held: the declaration is out of date"},
}

// A table is a Report turned: guarantees down, backends across.
type table struct {
	backends []*conformance.BackendReport
	groups   []group
}

type group struct {
	name string
	rows []row
}

type row struct {
	id, rule, class string
	cells           []*conformance.Result // one per backend; nil: not run there
}

// newTable keeps the order in which groups and checks first appear.
func newTable(r *conformance.Report) table {
	var t table
	type place struct{ group, row int }
	groups := make(map[string]int)
	rows := make(map[string]place)
	for i := range r.Backends {
		b := &r.Backends[i]
		t.backends = append(t.backends, b)
		for j := range b.Results {
			res := &b.Results[j]
			at, ok := rows[res.ID]
			if !ok {
				g, ok := groups[res.Group]
				if !ok {
					g = len(t.groups)
					groups[res.Group] = g
					t.groups = append(t.groups, group{name: res.Group})
				}
				at = place{g, len(t.groups[g].rows)}
				rows[res.ID] = at
				t.groups[g].rows = append(t.groups[g].rows, row{
					id: res.ID, rule: res.Rule, class: res.Class,
					cells: make([]*conformance.Result, len(r.Backends)),
				})
			}
			r := &t.groups[at.group].rows[at.row]
			r.cells[i] = res
			if res.Class == conformance.Required {
				r.class = res.Class // although another backend may be let off
			}
		}
	}
	return t
}

// A count says how often a verdict was given.
type count struct {
	verdict conformance.Verdict
	n       int
}

// counts leaves out the verdicts that were not given.
func counts(results []conformance.Result) []count {
	var list []count
	for _, v := range order {
		n := 0
		for i := range results {
			if results[i].Verdict == v {
				n++
			}
		}
		if n > 0 {
			list = append(list, count{v, n})
		}
	}
	return list
}

// OK reports whether r has results and each is green, or an optional check that
// could not be shown.
func OK(r *conformance.Report) bool {
	n := 0
	for _, b := range r.Backends {
		if !b.OK() {
			return false
		}
		n += len(b.Results)
	}
	return n > 0
}

// headline says in one sentence how it went.
func headline(r *conformance.Report) string {
	total, optional := 0, 0
	var bad []string
	for _, b := range r.Backends {
		n := 0
		for _, res := range b.Results {
			total++
			switch {
			case res.Verdict.Green():
			case res.OK():
				optional++
			default:
				n++
			}
		}
		if n > 0 {
			bad = append(bad, fmt.Sprintf("%d on %s", n, b.Backend))
		}
	}
	but := ""
	if optional > 0 {
		but = fmt.Sprintf(" %d optional not shown.", optional)
	}
	switch {
	case total == 0:
		return "Nothing was checked."
	case len(bad) > 0:
		return fmt.Sprintf("Of %s, not green: %s.", plural(total, "result"), strings.Join(bad, ", ")) + but
	case optional > 0:
		return fmt.Sprintf("%s of %s on %s are green.", thousands(total-optional), plural(total, "result"), plural(len(r.Backends), "backend")) + but
	}
	if total == 1 {
		return "The only result is green."
	}
	return fmt.Sprintf("All %s on %s are green.", plural(total, "result"), plural(len(r.Backends), "backend"))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return thousands(n) + " " + word + "s"
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// span writes a duration with three significant digits and one unit.
func span(d time.Duration) string {
	units := []struct {
		of   time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}}
	if d >= 2*time.Minute {
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	for _, u := range units {
		if d < u.of {
			continue
		}
		x := float64(d) / float64(u.of)
		switch {
		case x < 10:
			return trimZeros(fmt.Sprintf("%.2f", x)) + " " + u.name
		case x < 100:
			return trimZeros(fmt.Sprintf("%.1f", x)) + " " + u.name
		}
		return fmt.Sprintf("%.0f %s", x, u.name)
	}
	return fmt.Sprintf("%d ns", d.Nanoseconds())
}

func trimZeros(s string) string { return strings.TrimRight(strings.TrimRight(s, "0"), ".") }

// clients lists who appears in events, in order of appearance; the server's
// own view, if there is one, comes last.
func clients(events []conformance.Event) []string {
	var list []string
	server := false
	for _, e := range events {
		switch {
		case e.Client == "" || slices.Contains(list, e.Client):
		case e.Client == serverLane:
			server = true
		default:
			list = append(list, e.Client)
		}
	}
	if server {
		list = append(list, serverLane)
	}
	return list
}

// serverLane is the client under which a check records what the server says.
const serverLane = "server"
