package broken

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockerlib/locker/conformance"
)

// Table is a document in Markdown: which check catches which broken locker, and
// why some check catches none.
func Table() string {
	lockers := Lockers()
	checks := conformance.Checks(conformance.Standard, conformance.Faults)
	var b strings.Builder
	fmt.Fprintf(&b, `# Broken lockers

The conformance suite is tested by %d lockers that are wrong on purpose. Each names
beforehand the check that must catch it and words that the finding must contain; the
tests of package [broken](../conformance/broken/doc.go) demand both, and that every
required check is named by at least one. This page is generated from that package:

`+"```"+`
go test ./conformance/broken -run '^TestTable$' -update
`+"```\n", len(lockers))

	group := ""
	var idle []conformance.Check
	for _, c := range checks {
		var caught []Locker
		for _, l := range lockers {
			if l.Caught == c.ID {
				caught = append(caught, l)
			}
		}
		if len(caught) == 0 {
			idle = append(idle, c)
			continue
		}
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&b, "\n## %s\n\n| Check | Broken locker | What is wrong with it | Words of the finding | Model of |\n|---|---|---|---|---|\n", group)
		}
		for _, l := range caught {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.ID, cell(l.Name), cell(l.About), cell(l.Says), cell(l.Model))
		}
	}
	b.WriteString("\n## Checks that no broken locker is for\n\n| Check | Class | Why |\n|---|---|---|\n")
	for _, c := range idle {
		why := Exempt(c)
		if why == "" {
			why = "it is not required of every backend"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.ID, c.Class, cell(why))
	}
	return b.String()
}

// Exempt tells why no broken locker can be caught by a check, or "" if one can.
func Exempt(c conformance.Check) string {
	without := Reference().Profile().Without
	i := slices.IndexFunc(c.Needs, func(p conformance.Power) bool { return without[p] != "" })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("it needs a %s, and %s", c.Needs[i], without[c.Needs[i]])
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
