package memrig_test

import (
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/memlock/memrig"
)

// The suite runs in bubbles in its own tests; here it runs on the real clock,
// as it does on a real server.
func TestSuiteOnTheRealClock(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite takes real time outside of a bubble")
	}
	conformance.Run(t, memrig.Maker(false))
}
