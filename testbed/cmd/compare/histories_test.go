package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/history"
)

// The history of a check that is not green is beside the report, which says how
// to judge it again; that of one that is green is not kept.
func TestHistoriesAreKept(t *testing.T) {
	f, err := os.Open("../../../conformance/history/testdata/illegal-overlap.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := history.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	results := conformance.Recheck(h, history.Judge(h, time.Minute), "again")
	for i := range results {
		if green := results[i].Verdict == conformance.Holds; green == (results[i].History != nil) {
			t.Errorf("%s, which %s, has a history: %t", results[i].ID, results[i].Verdict, results[i].History != nil)
		}
	}
	t.Chdir(t.TempDir())
	r := &conformance.Report{Version: conformance.ReportVersion, Backends: []conformance.BackendReport{{Backend: "a/b c", Results: results[:1]}}}
	paths, err := write("it's here", r)
	if err != nil {
		t.Fatal(err)
	}
	if got := filepath.Base(paths[0]); got != "history-a-b-c-Y1.json" {
		t.Errorf("the history is in %q", got)
	}
	kept, err := os.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if again, err := history.Decode(kept); err != nil || history.CheckOverlaps(again).Outcome != history.Illegal {
		t.Errorf("what was kept does not convict: %v", err)
	}
	stored, err := read(filepath.Join("it's here", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := stored.Backends[0].Results[0].Recheck; !strings.Contains(got, `recheck -out 'it'\''s here' 'it'\''s here/history-a-b-c-Y1.json'`) {
		t.Errorf("it is judged again by %q", got)
	}
	page, err := os.ReadFile(filepath.Join("it's here", "report.html"))
	if err != nil || !strings.Contains(string(page), "Judge again") {
		t.Errorf("the cell does not say how to judge it again: %v", err)
	}
}
