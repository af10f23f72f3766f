package broken_test

import (
	"flag"
	"os"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

var update = flag.Bool("update", false, "write the documents that are generated from this package")

const table = "../../docs/broken-lockers.md"

func TestTable(t *testing.T) {
	want := broken.Table()
	if *update {
		if err := os.WriteFile(table, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./conformance/broken -run '^TestTable$' -update", table)
	}
}

// Names are unique, and each locker is for a check that there is.
func TestLockersAreNamed(t *testing.T) {
	checks, names := make(map[string]bool), make(map[string]bool)
	for _, c := range conformance.Checks(conformance.Standard, conformance.Faults) {
		checks[c.ID] = true
	}
	for _, b := range broken.Lockers() {
		if names[b.Name] {
			t.Errorf("%q is there twice", b.Name)
		}
		names[b.Name] = true
		if !checks[b.Caught] || b.About == "" || b.Says == "" {
			t.Errorf("%q is incomplete: %+v", b.Name, b)
		}
	}
	for _, m := range broken.Models() {
		if !names[m] {
			t.Errorf("there is a model of a real defect for %q, and no such locker", m)
		}
	}
}
