package broken_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

func TestReference(t *testing.T) { conformance.Run(t, broken.Reference()) }

// Each required check is the one that must catch something. Those that need
// other processes, or foreign data on the server, cannot be tested by a lock
// that is a map.
func TestEveryRequiredCheckCatches(t *testing.T) {
	catches := make(map[string]bool)
	for _, b := range broken.Lockers() {
		catches[b.Caught] = true
	}
	without := broken.Reference().Profile().Without
	for _, c := range conformance.Checks() {
		lacking := slices.ContainsFunc(c.Needs, func(p conformance.Power) bool { return without[p] != "" })
		if c.Class == conformance.Required && !lacking && !catches[c.ID] {
			t.Errorf("no broken locker is to be caught by %s: %s", c.ID, c.Rule)
		}
	}
}

// Each broken locker is caught by the check that it names, in the words that it
// names.
func TestCaught(t *testing.T) {
	for _, b := range broken.Lockers() {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			report, err := conformance.Verify(t.Context(), b.Maker, conformance.Only(b.Caught), conformance.WithSeed(1))
			if err != nil {
				t.Fatal(err)
			}
			r := report.Results[0]
			if r.Verdict != conformance.Broken {
				t.Fatalf("%s\nis not caught:\n%s", b.About, r)
			}
			if text := r.Expected + " | " + r.Seen; !strings.Contains(text, b.Says) {
				t.Errorf("%s\nis caught without the words %q:\n%s", b.About, b.Says, r)
			}
		})
	}
}
