package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/history"
)

// stored reads one of the stored histories, and what is found in it.
func stored(t *testing.T, name string) (*history.History, []conformance.Result) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "history", "testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := history.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return h, conformance.Recheck(h, history.Judge(h, time.Minute), "recheck "+name)
}

// Every illegal history is drawn, in both forms, and says on top what is wrong.
func TestIllegalHistoriesAreDrawn(t *testing.T) {
	paths, err := filepath.Glob("../history/testdata/illegal-*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no illegal histories: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		h, results := stored(t, name)
		worst := Worst(results)
		if worst == nil || worst.Verdict != conformance.Broken {
			t.Errorf("%s: no result is broken: %+v", name, results)
			continue
		}
		var page, drawing bytes.Buffer
		if err := History(&page, h, results); err != nil {
			t.Fatal(err)
		}
		if err := SVG(&drawing, *worst); err != nil {
			t.Fatal(err)
		}
		open := 0
		for _, e := range elements(t, page.String()) {
			if _, ok := e.attr["open"]; ok && e.name == "details" {
				open++
			}
		}
		if open == 0 || !strings.Contains(page.String(), "is-red") || strings.Contains(page.String(), "<script") {
			t.Errorf("%s: the page opens %d findings", name, open)
		}
		if worst.ID == "Y1" && !strings.Contains(drawing.String(), `class="clash"`) {
			t.Errorf("%s: two clients believed at once, and no overlap is drawn", name)
		}
		wellFormed(t, name, drawing.String())
		if !strings.Contains(drawing.String(), `class="say alarm"`) {
			t.Errorf("%s: the drawing has no sentence on top", name)
		}
	}
}

func wellFormed(t *testing.T, name, text string) {
	t.Helper()
	for dec := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s: the drawing is no XML: %v", name, err)
			return
		}
	}
}

func TestOverlapIsDrawn(t *testing.T) {
	h, results := stored(t, "illegal-overlap")
	var page, drawing bytes.Buffer
	if err := errors.Join(History(&page, h, results), SVG(&drawing, *Worst(results))); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"page": page.String(), "drawing": drawing.String()} {
		for _, want := range []string{`class="clash"`, "overlap 400 ms", "#64", "#128", "both held &#34;name 1&#34; for 400 ms"} {
			if !strings.Contains(text, want) {
				t.Errorf("the %s lacks %q", what, want)
			}
		}
		if regexp.MustCompile(`(src|href)=|@import|url\([^#]`).MatchString(text) {
			t.Errorf("the %s refers to something outside", what)
		}
	}
}

// What a client could not know of is no overlap, and is shown as what it is.
func TestRemovalIsNotDrawnAsAnOverlap(t *testing.T) {
	_, results := stored(t, "legal-evicted")
	tl := newTimeline(&results[0])
	untold := false
	for _, l := range tl.Lanes {
		for _, b := range l.Bars {
			untold = untold || b.Class == "untold"
		}
	}
	if tl.Alarm || len(tl.Clashes) > 0 || !untold {
		t.Errorf("alarm %t, %d overlaps, untold %t: %s", tl.Alarm, len(tl.Clashes), untold, tl.Sentence)
	}
}

func TestSVGOfNothing(t *testing.T) {
	if err := SVG(io.Discard, conformance.Result{}); err == nil {
		t.Error("a result without events was drawn")
	}
}

// No two labels lie on each other on any screen.
func TestLabelsKeepApart(t *testing.T) {
	s := shelf{limit: 3}
	for i, test := range []struct {
		text string
		at   float64
		row  int
		fit  string
	}{
		{"0123456789", 0, 0, "always"},
		{"0123456789", 10, 1, "always"},
		{"0123456789", 12, 2, "always"},
		{"0123456789", 14, 0, "wide"}, // the narrow rows are full
		{"0123456789", 11, 2, "wide"}, // ends there
		{"0123456789", 11, 0, "never"},
		{"0123456789", 95, 0, "always"}, // ends there
		{strings.Repeat("long ", 60), 0, 0, "never"},
	} {
		row, _, fit := s.put(test.text, spot{test.at, "start"}, spot{test.at, "end"})
		if fit != test.fit || fit != "never" && row != test.row {
			t.Errorf("label %d: row %d, %s; want row %d, %s", i, row, fit, test.row, test.fit)
		}
	}
}
