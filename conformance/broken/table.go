package broken

import (
	"fmt"
	"strings"

	"github.com/lockerlib/locker/conformance"
)

// Table is a document in Markdown: which check catches which broken locker.
func Table() string {
	lockers := Lockers()
	caught, named := make(map[string][]Locker), make(map[string]Locker)
	for _, l := range lockers {
		caught[l.Caught] = append(caught[l.Caught], l)
		named[l.Name] = l
	}
	for _, c := range Convictions() {
		l := named[c.Name]
		l.Says = c.Says
		caught[c.By] = append(caught[c.By], l)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Broken lockers

The conformance suite is tested by %d lockers that are wrong on purpose. Each names
beforehand the check that must catch it and words that the finding must contain; the
tests of package [broken](../conformance/broken/doc.go) demand both, and that every
check is named by at least one. The checks of histories convict some of them once
more, by chance, in one of a few storms. What else catches each of them, and which only
one check catches, is in [another page](broken-lockers-matrix.md). This one is generated
from that package:

`+"```"+`
go test ./conformance/broken -run '^TestTable$' -update
`+"```\n", len(lockers))

	group := ""
	for _, c := range conformance.Checks(conformance.Standard, conformance.Faults) {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&b, "\n## %s\n\n| Check | Broken locker | What is wrong with it | Words of the finding | Model of |\n|---|---|---|---|---|\n", group)
		}
		for _, l := range caught[c.ID] {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.ID, cell(l.Name), cell(l.About), cell(l.Says), cell(l.Model))
		}
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
