package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/lockerlib/locker/conformance"
)

// MarkdownOptions say what is shown.
type MarkdownOptions struct {
	// Stable leaves out all that differs from run to run although nothing has
	// changed: dates, seeds, figures, machines, and what was seen in words. It is
	// for documents under version control.
	Stable bool
}

// Markdown writes the matrix of r as tables, one a group, and below what is not
// simply green. Text from r is escaped, so that none of it becomes markup.
func Markdown(w io.Writer, r *conformance.Report, o MarkdownOptions) error {
	m := &markdown{stable: o.Stable}
	r = visibleReport(r)
	t := newTable(r)
	if !o.Stable {
		m.printf("%s\n\n", escapeMarkdown(headline(r)))
		m.printf("%s, %s.\n\n", r.Time.Format("2006-01-02 15:04 MST"), escapeMarkdown(r.Machine))
		for _, n := range r.Notes {
			m.printf("Note: %s\n\n", escapeMarkdown(n))
		}
		m.backends(t)
	}
	for _, g := range t.groups {
		m.group(t, g)
	}
	m.legend(t)
	m.findings(t)
	_, err := io.WriteString(w, m.out.String())
	return err
}

type markdown struct {
	out    strings.Builder
	stable bool
}

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(&m.out, format, args...) }

func (m *markdown) backends(t table) {
	m.printf("| Backend | Server | T | S | Took |\n|---|---|---|---|---|\n")
	for _, b := range t.backends {
		m.printf("| %s | %s | %s | %s | %s |\n", escapeMarkdown(b.Backend), escapeMarkdown(b.Server), span(b.TTL), span(b.Slack), span(b.Took))
	}
	m.printf("\n")
}

func (m *markdown) group(t table, g group) {
	m.printf("## %s\n\n| | Rule |", escapeMarkdown(g.name))
	for _, b := range t.backends {
		m.printf(" %s |", escapeMarkdown(b.Backend))
	}
	m.printf("\n|---|---|%s\n", strings.Repeat("---|", len(t.backends)))
	for _, r := range g.rows {
		m.printf("| %s | %s |", escapeMarkdown(r.id), escapeMarkdown(r.rule))
		for _, res := range r.cells {
			m.printf(" %s |", m.cell(res))
		}
		m.printf("\n")
	}
	m.printf("\n")
}

func (m *markdown) cell(res *conformance.Result) string {
	if res == nil {
		return "· not run"
	}
	s := looks[res.Verdict].symbol + " " + string(res.Verdict)
	if res.Number != "" && !m.stable {
		s += ": " + escapeMarkdown(res.Number)
	}
	return s
}

func (m *markdown) legend(t table) {
	given := make(map[conformance.Verdict]bool)
	t.each(func(_ *conformance.BackendReport, res *conformance.Result) { given[res.Verdict] = true })
	for _, v := range order {
		if given[v] {
			m.printf("- %s %s: %s\n", looks[v].symbol, v, looks[v].meaning)
		}
	}
}

// findings tell what was seen where a rule did not simply hold. How to repeat it
// is told too, unless the page is to be stable.
func (m *markdown) findings(t table) {
	first := true
	t.each(func(b *conformance.BackendReport, res *conformance.Result) {
		if res.Verdict == conformance.Holds || m.stable {
			return
		}
		if first {
			m.printf("\n## What did not simply hold\n\n")
			first = false
		}
		m.printf("- **%s on %s: %s.** ", escapeMarkdown(res.ID), escapeMarkdown(b.Backend), res.Verdict)
		seen := escapeMarkdown(firstLine(firstOf(res.Seen, res.Number, res.Rule)))
		if res.Expected != "" {
			m.printf("Expected: %s. Seen: ", escapeMarkdown(firstLine(res.Expected)))
		}
		m.printf("%s.", strings.TrimSuffix(seen, "."))
		if !res.Verdict.Green() && res.Repeat != "" {
			m.printf(" Repeat: %s", codeSpan(res.Repeat))
		}
		m.printf("\n")
	})
}

func firstLine(s string) string {
	head, _, _ := strings.Cut(s, "\n")
	return head
}

// codeSpan is a code span around s, whatever back quotes are in it.
func codeSpan(s string) string {
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

var markdownEscaper = strings.NewReplacer(
	"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "|", "\\|",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "#", "\\#", "\r", " ", "\n", " ",
)

func escapeMarkdown(s string) string { return markdownEscaper.Replace(s) }
