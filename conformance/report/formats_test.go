package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
)

func TestMarkdown(t *testing.T) {
	var full, stable bytes.Buffer
	if err := Markdown(&full, sample(), MarkdownOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Markdown(&stable, sample(), MarkdownOptions{Stable: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## Exclusion", "| X2 |", "✓ holds: 1,000 handovers", "✗ broken", "Repeat: `"} {
		if !strings.Contains(full.String(), want) {
			t.Errorf("%q is missing:\n%s", want, &full)
		}
	}
	for _, hostile := range []string{"<script", "<img", "\x1b", "\u202e"} {
		if strings.Contains(full.String(), hostile) {
			t.Errorf("%q came through", hostile)
		}
	}
	for line := range strings.Lines(full.String()) {
		if strings.HasPrefix(line, "| X2") && strings.Count(strings.ReplaceAll(line, "\\|", ""), "|") != 7 {
			t.Errorf("a row has the wrong number of cells: %s", line)
		}
	}

	// Another run with the same verdicts makes the same stable page.
	other := sample()
	other.Time, other.Machine = other.Time.AddDate(0, 0, 1), "another"
	for i := range other.Backends {
		other.Backends[i].Took *= 2
		for j := range other.Backends[i].Results {
			res := &other.Backends[i].Results[j]
			res.Number, res.Seen, res.Seed, res.Repeat = "another", "another", 43, "another"
		}
	}
	var again bytes.Buffer
	if err := Markdown(&again, other, MarkdownOptions{Stable: true}); err != nil {
		t.Fatal(err)
	}
	if again.String() != stable.String() {
		t.Error("the stable page differs between runs with the same verdicts")
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, sample()); err != nil {
		t.Fatal(err)
	}
	var doc junitSuites
	if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	tests, bad := 0, 0
	for _, backend := range sample().Backends {
		for _, res := range backend.Results {
			tests++
			if !res.OK() {
				bad++
			}
		}
	}
	if doc.Tests != tests || doc.Failures != bad || len(doc.Suites) != len(sample().Backends) {
		t.Errorf("%d tests and %d failures in %d suites, want %d, %d and %d", doc.Tests, doc.Failures, len(doc.Suites), tests, bad, len(sample().Backends))
	}
	for _, s := range doc.Suites {
		n := 0
		for _, c := range s.Cases {
			if c.Failure != nil {
				n++
				if !strings.Contains(c.Failure.Text, "rule:") {
					t.Errorf("%s does not say what failed: %q", c.Name, c.Failure.Text)
				}
			}
		}
		if n != s.Failures || len(s.Cases) != s.Tests {
			t.Errorf("%s counts %d failures of %d, has %d of %d", s.Name, s.Failures, s.Tests, n, len(s.Cases))
		}
	}
}

func TestChanges(t *testing.T) {
	report := func(verdicts ...conformance.Verdict) *conformance.Report {
		r := &conformance.Report{Backends: []conformance.BackendReport{{Backend: "b"}}}
		for i, v := range verdicts {
			if v != "" {
				r.Backends[0].Results = append(r.Backends[0].Results, conformance.Result{ID: string(rune('A' + i)), Verdict: v, Seen: "seen"})
			}
		}
		return r
	}
	const holds, broken, gives = conformance.Holds, conformance.Broken, conformance.GivesWay
	for name, test := range map[string]struct {
		before, after *conformance.Report
		worse         bool
		says          string
	}{
		"the same":   {report(holds, broken), report(holds, broken), false, "Every check"},
		"broken now": {report(holds), report(broken), true, "A on b: broken, was holds; seen"},
		"gone":       {report(holds, holds), report(holds), true, "B on b: not run, was holds"},
		"better":     {report(broken), report(holds), false, "Better: 1\n  A on b: holds, was broken"},
		"new":        {report(holds), report(holds, holds), false, "B on b: holds, was not run"},
		"declared":   {report(holds), report(gives), false, "A on b: gives way, was holds"},
		"new broken": {report(), report(broken), false, "A on b: broken, was not run"},
	} {
		var b bytes.Buffer
		worse, err := WriteChanges(&b, Changes(test.before, test.after))
		if err != nil || worse != test.worse || !strings.Contains(b.String(), test.says) {
			t.Errorf("%s: worse %t, %v, want %t and %q:\n%s", name, worse, err, test.worse, test.says, &b)
		}
	}
}

// What cannot be written is an error.
func TestFormatsThatCannotBeWritten(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"markdown": func(w io.Writer) error { return Markdown(w, sample(), MarkdownOptions{}) },
		"junit":    func(w io.Writer) error { return JUnit(w, sample()) },
		"changes": func(w io.Writer) error {
			_, err := WriteChanges(w, nil)
			return err
		},
	} {
		if write(full{}) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
