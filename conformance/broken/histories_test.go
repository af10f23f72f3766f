package broken_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

// The judges of histories find by chance what the other checks look for: every
// lock that lets two in, and those that break a lease or a token, are convicted
// by the property that they break, in one of a few storms.
func TestHistoriesConvict(t *testing.T) {
	maker := make(map[string]conformance.Maker)
	for _, b := range broken.Lockers() {
		maker[b.Name] = b.Maker
	}
	for _, want := range []struct{ name, by, says string }{
		{"Get, then Put", "Y1", "both believed to hold"},
		{"Get, then Put, patiently", "Y1", "both believed to hold"},
		{"try grants", "Y1", "both believed to hold"},
		{"wakes two", "Y1", "both believed to hold"},
		{"anyone enters", "Y1", "both believed to hold"},
		{"one key per client", "Y1", "both believed to hold"},
		{"deletes by name", "Y1", "both believed to hold"},
		{"second release is sent", "Y1", "both believed to hold"},
		{"zombie renewal", "Y1", "both believed to hold"},
		{"half lease", "Y1", "both believed to hold"},
		{"told late", "Y1", "both believed to hold"},
		{"first frees all", "Y1", "both believed to hold"},
		{"half lease", "Y3", "the server said of"},
		{"half lease", "Y5", "before that deadline"},
		{"impatient", "Y5", "before its deadline"},
		{"gives up", "Y5", "before its deadline"},
		{"constant token", "Y6", "had been got before"},
		{"token per client", "Y6", "had been got before"},
		{"token in the key", "Y6", "had been got before"},
		{"token per process", "Y6", "had been got before"},
		{"token per level", "Y6", "had been got before"},
	} {
		t.Run(fmt.Sprintf("%s by %s", want.name, want.by), func(t *testing.T) {
			t.Parallel()
			if maker[want.name] == nil {
				t.Fatal("there is no such broken locker")
			}
			var last conformance.Result
			for seed := range uint64(8) {
				report, err := conformance.Verify(t.Context(), maker[want.name], conformance.Only(want.by), conformance.WithSeed(seed))
				if err != nil {
					t.Fatal(err)
				}
				last = report.Results[0]
				if last.Verdict == conformance.Broken && strings.Contains(last.Seen, want.says) {
					return
				}
			}
			t.Errorf("no storm convicts it with the words %q; the last one:\n%s", want.says, last)
		})
	}
}
