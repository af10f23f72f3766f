package broken_test

import (
	"encoding/json"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

const (
	matrixRecord = "testdata/matrix.json"
	matrixPage   = "../../docs/broken-lockers-matrix.md"
	matrixSeed   = 1
)

// The record is of the lockers and checks that there are, each locker is caught
// by the check that it names, each required check catches a locker that no other
// one does, and the page says what the record says.
func TestMatrix(t *testing.T) {
	if *update {
		record(t)
	}
	m := recorded(t)
	if want := ids(all); !slices.Equal(m.Checks, want) {
		t.Fatalf("the record is of other checks than there are, run make broken-matrix:\n%v\nand not\n%v", m.Checks, want)
	}
	named := make(map[string]bool)
	for _, l := range broken.Lockers() {
		named[l.Name] = true
		if caught, run := m.Catches[l.Name]; run && !slices.Contains(caught, l.Caught) {
			t.Errorf("in the record %q is not caught by %s: run make broken-matrix", l.Name, l.Caught)
		}
	}
	for name := range m.Catches {
		if !named[name] {
			t.Errorf("the record is of %q, which there is not: run make broken-matrix", name)
		}
	}
	for id, lockers := range m.Alone() {
		if len(lockers) == 0 {
			t.Errorf("no broken locker is caught by %s alone: without that check nothing would be missed", id)
		}
	}
	if got, err := os.ReadFile(matrixPage); err != nil || string(got) != m.Page() {
		t.Errorf("%s is stale (%v): run make broken-matrix", matrixPage, err)
	}
}

// ids lists the checks by ID.
func ids(which func(conformance.Check) bool) []string {
	var list []string
	for _, c := range broken.Checks() {
		if which(c) {
			list = append(list, c.ID)
		}
	}
	return list
}

func all(conformance.Check) bool { return true }

func recorded(t *testing.T) broken.Matrix {
	t.Helper()
	text, err := os.ReadFile(matrixRecord)
	if err != nil {
		t.Fatal(err)
	}
	var m broken.Matrix
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// record runs every locker against every check, but those that take long only
// if it makes a difference: where one of them is named, or at most one other
// required check catches it. Several are run at once, because some have a check
// wait for its deadline.
func record(t *testing.T) {
	t.Helper()
	quick := ids(func(c conformance.Check) bool { return !slices.Contains(broken.Long(), c.ID) })
	m := broken.Matrix{Seed: matrixSeed, Checks: ids(all), Catches: make(map[string][]string)}
	var (
		mu   sync.Mutex // guards m
		work sync.WaitGroup
		slot = make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	)
	for _, l := range slices.Backward(broken.Lockers()) { // the narrow ones first: they are what matters
		slot <- struct{}{}
		work.Go(func() {
			defer func() { <-slot }()
			caught, err := broken.Catchers(t.Context(), l, m.Seed, quick...)
			if err == nil && (len(broken.Counted(broken.IDs(caught))) <= 1 || slices.Contains(broken.Long(), l.Caught)) {
				var long []conformance.Result
				long, err = broken.Catchers(t.Context(), l, m.Seed, broken.Long()...)
				caught = append(caught, long...)
			}
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			m.Catches[l.Name] = broken.IDs(caught)
			t.Logf("%s: %v", l.Name, m.Catches[l.Name])
		})
	}
	work.Wait()
	write(t, matrixRecord, lines(t, m))
	write(t, matrixPage, m.Page())
}

// lines writes a matrix with one line for each locker, so that a change of one
// is seen as that.
func lines(t *testing.T, m broken.Matrix) string {
	t.Helper()
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var rows []string
	for _, name := range slices.Sorted(maps.Keys(m.Catches)) {
		rows = append(rows, "    "+text(name)+": "+text(m.Catches[name]))
	}
	return "{\n  \"seed\": " + text(m.Seed) + ",\n  \"checks\": " + text(m.Checks) + ",\n  \"catches\": {\n" + strings.Join(rows, ",\n") + "\n  }\n}\n"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
