package broken_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

// Chance decides what a storm meets with, so that a few are allowed for.
func TestHistoriesConvict(t *testing.T) {
	maker := make(map[string]conformance.Maker)
	for _, b := range broken.Lockers() {
		maker[b.Name] = b.Maker
	}
	for _, want := range broken.Convictions() {
		t.Run(fmt.Sprintf("%s by %s", want.Name, want.By), func(t *testing.T) {
			t.Parallel()
			if maker[want.Name] == nil {
				t.Fatal("there is no such broken locker")
			}
			var last conformance.Result
			for seed := range uint64(8) {
				report, err := conformance.Verify(t.Context(), maker[want.Name], conformance.Only(want.By), conformance.WithSeed(seed))
				if err != nil {
					t.Fatal(err)
				}
				last = report.Results[0]
				if last.Verdict == conformance.Broken && strings.Contains(last.Seen, want.Says) {
					return
				}
			}
			t.Errorf("no storm convicts it with the words %q; the last one:\n%s", want.Says, last)
		})
	}
}
