package report

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lockerlib/locker/conformance"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func text(t *testing.T, r *conformance.Report, o TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := Text(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextGolden(t *testing.T) {
	for _, test := range []struct {
		file string
		o    TextOptions
	}{
		{"matrix-100.txt", TextOptions{}},
		{"matrix-80.txt", TextOptions{Width: 80}},
		{"matrix-colour.txt", TextOptions{Width: 100, Colour: true}},
	} {
		path := filepath.Join("testdata", test.file)
		got := text(t, sample(), test.o)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is stale; look at the difference, then run with -update.\n%s", path, got)
		}
	}
}

func TestTextFits(t *testing.T) {
	many := sample()
	for _, name := range []string{"redis replica", "redis AOF", "redsync", "concurrency.Mutex", "rueidislock"} {
		b := many.Backends[0]
		b.Backend = name
		many.Backends = append(many.Backends, b)
	}
	for _, r := range []*conformance.Report{sample(), many, {Version: conformance.ReportVersion}} {
		for _, width := range []int{1, 60, 80, 100, 200} {
			most := min(max(width, minWidth), maxWidth)
			for line := range strings.Lines(text(t, r, TextOptions{Width: width})) {
				line = strings.TrimSuffix(line, "\n")
				if n := utf8.RuneCountInString(line); n > most && !strings.HasPrefix(line, "  repeat") {
					t.Errorf("width %d: a line of %d: %s", width, n, line)
				}
			}
		}
	}
}

func TestTextShowsEveryBackend(t *testing.T) {
	many := sample()
	many.Backends = many.Backends[:1]
	for i := range 9 {
		b := many.Backends[0]
		b.Backend = fmt.Sprint("backend", i)
		many.Backends = append(many.Backends, b)
	}
	head, _, _ := strings.Cut(text(t, many, TextOptions{}), "the rule held")
	for _, b := range many.Backends {
		if !strings.Contains(head, b.Backend) {
			t.Errorf("the matrix lacks %q", b.Backend)
		}
	}
}

func TestTextKeepsControlCharactersOut(t *testing.T) {
	for r, got := range map[string]string{
		"plain":   text(t, sample(), TextOptions{}),
		"backend": text(t, named(hostile), TextOptions{}),
	} {
		for _, c := range got {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Errorf("%s: %U came through", r, c)
			}
		}
	}
}

// named is a report whose every label is s.
func named(s string) *conformance.Report {
	return &conformance.Report{Version: conformance.ReportVersion, Machine: s, Notes: []string{s}, Backends: []conformance.BackendReport{{
		Backend: s, Server: s,
		Results: []conformance.Result{{
			ID: s, Rule: s, Group: s, Class: s, Verdict: conformance.Broken, Number: s,
			Done: []string{s}, Expected: s, Seen: s, Repeat: s,
			Events: []conformance.Event{
				{Client: s, Kind: kindAcquire, Name: s, Token: 1, Text: s},
				{Client: s, Kind: kindFault, Name: s, Text: s},
				{Client: s, Kind: s, Name: s, Text: s},
				{At: 5, Client: s, Kind: kindLost, Name: s, Token: 1, Text: s},
			},
		}},
	}}}
}

func TestTextColour(t *testing.T) {
	colour := text(t, sample(), TextOptions{Colour: true})
	if !strings.Contains(colour, "\x1b[") {
		t.Error("no colour was used")
	}
	plain := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(colour, "")
	plain = regexp.MustCompile(`(?m) +$`).ReplaceAllString(plain, "")
	if plain != text(t, sample(), TextOptions{}) {
		t.Error("colour changes the text")
	}
}

// What a profile declares is told apart from what nobody declared and nothing
// demands.
func TestTextTellsWhatWasDeclared(t *testing.T) {
	unshown := func(id, seen string) conformance.Result {
		return conformance.Result{ID: id, Class: conformance.Optional, Verdict: conformance.NotShown, Seen: seen}
	}
	r := &conformance.Report{Backends: []conformance.BackendReport{{Backend: "one", Results: []conformance.Result{
		unshown("T1", "the rig has no Spawner: it is one process"), unshown("T2", "the rig has no Evictor"), unshown("T3", "nobody could see: it is dark"),
	}}}}
	got := text(t, r, TextOptions{})
	_, after, _ := strings.Cut(got, "Cannot be shown here, as declared\n")
	declared, optional, ok := strings.Cut(after, "Optional, and not shown here\n")
	if !ok || !strings.Contains(declared, "T1 on one") || strings.Contains(declared, "T2 on one") || strings.Contains(declared, "T3 on one") ||
		!strings.Contains(optional, "T2 on one") || !strings.Contains(optional, "T3 on one") {
		t.Errorf("it says\n%s", got)
	}
}

func TestOK(t *testing.T) {
	r := sample()
	if OK(r) {
		t.Error("a report with a broken rule is OK")
	}
	if OK(&conformance.Report{}) {
		t.Error("a report without results is OK")
	}
	r.Backends = r.Backends[:3]
	if !OK(r) {
		t.Error("holds, gives way and refuses are not OK")
	}
}

func TestFold(t *testing.T) {
	for _, test := range []struct {
		s           string
		width, most int
		want        string
	}{
		{"", 5, 0, ""},
		{"one two", 7, 0, "one two"},
		{"one two", 6, 0, "one|two"},
		{"one two three", 7, 1, "one tw…"},
		{"one two three", 9, 1, "one two…"},
		{"abcdefghij", 4, 0, "abcd|efgh|ij"},
		{"1,000 handovers", 8, 2, "1,000|handove…"},
		{"a\x1b[31mb\tc", 20, 0, "a�[31mb c"},
	} {
		if got := strings.Join(fold(test.s, test.width, test.most), "|"); got != test.want {
			t.Errorf("fold(%q, %d, %d) = %q, want %q", test.s, test.width, test.most, got, test.want)
		}
	}
}
