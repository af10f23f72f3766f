//go:build !race

package broken_test

import (
	"slices"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

// Each required check is needed: of the lockers that the record gives to it alone
// one is still caught by it, and by no other required check. It is not built
// for the race detector, under which it takes ten times as long: make test runs
// it by itself.
func TestAlone(t *testing.T) {
	required := make(map[string]bool)
	for _, c := range broken.Checks() {
		required[c.ID] = c.Class == conformance.Required
	}
	for id, lockers := range recorded(t).Alone() {
		if len(lockers) == 0 {
			continue // TestMatrix says so
		}
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			checks := ids(func(c conformance.Check) bool {
				return c.ID == id || required[c.ID] && !slices.Contains(broken.Long(), c.ID)
			})
			for _, l := range lockers {
				caught, err := broken.Catchers(t.Context(), l, matrixSeed, checks...)
				if err != nil {
					t.Fatal(err)
				}
				if slices.Equal(broken.IDs(caught), []string{id}) {
					return
				}
				t.Logf("%q is to be caught by %s alone, and was by %v", l.Name, id, broken.IDs(caught))
				for _, r := range caught {
					t.Logf("%s", r)
				}
			}
			t.Errorf("without %s nothing would be missed: every locker that it catches is caught by others too", id)
		})
	}
}
