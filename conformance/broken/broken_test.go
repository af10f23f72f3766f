package broken_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

func TestReference(t *testing.T) {
	conformance.Run(t, broken.Reference(), conformance.WithSet(conformance.Standard), conformance.WithSet(conformance.Faults))
}

// Each check is the one that must catch something: without it, that broken
// locker is not caught in the words that it names.
func TestEveryCheckCatches(t *testing.T) {
	catches := make(map[string]bool)
	for _, b := range broken.Lockers() {
		catches[b.Caught] = true
	}
	for _, c := range broken.Convictions() {
		catches[c.By] = true
	}
	for _, c := range conformance.Checks(conformance.Standard, conformance.Faults) {
		if !catches[c.ID] {
			t.Errorf("no broken locker is to be caught by %s: %s", c.ID, c.Rule)
		}
	}
}

// A rig whose faults do nothing shows nothing: no check may pass or convict on
// its word.
func TestFaultsThatDoNothing(t *testing.T) {
	for _, id := range []string{"W3", "W5", "W6", "E1", "E2", "E3", "E5", "N2", "N6", "L1", "R7", "F4", "N5", "N7", "O4", "O5", "S1", "S2", "S3", "S4", "S5", "S6", "S8", "S9", "S10a", "S10b", "S13", "S14", "S15", "S16", "S17", "S18", "S19"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			report, err := conformance.Verify(t.Context(), harmless{broken.Reference()}, conformance.Only(id))
			if err != nil {
				t.Fatal(err)
			}
			if r := report.Results[0]; r.Verdict != conformance.NotShown || !strings.Contains(r.Seen, "had no effect") {
				t.Errorf("a fault that does nothing was believed:\n%s", r)
			}
		})
	}
}

type harmless struct{ conformance.Maker }

func (m harmless) Make(ctx context.Context) (conformance.Rig, error) {
	r, err := m.Maker.Make(ctx)
	return harmlessRig{r}, err
}

type harmlessRig struct{ conformance.Rig }

func (r harmlessRig) Size() int { return r.Rig.(conformance.Cluster).Size() }

func (r harmlessRig) OpenAt(ctx context.Context, member int, opts ...locker.OpenOption) (locker.Locker, error) {
	return r.Rig.(conformance.Cluster).OpenAt(ctx, member, opts...)
}

func (r harmlessRig) Leader(ctx context.Context) (int, error) {
	return r.Rig.(conformance.Cluster).Leader(ctx)
}

func (harmlessRig) KillMember(context.Context, int) error    { return nil }
func (harmlessRig) RestartMember(context.Context, int) error { return nil }
func (harmlessRig) Isolate(int) error                        { return nil }
func (harmlessRig) Rejoin(int) error                         { return nil }

func (harmlessRig) StepServer(context.Context, time.Duration) error { return nil }
func (harmlessRig) FlushAll(context.Context) error                  { return nil }
func (harmlessRig) Crowd(context.Context, string) error             { return nil }
func (harmlessRig) Fill(context.Context) error                      { return nil }
func (harmlessRig) Empty(context.Context) error                     { return nil }
func (harmlessRig) CutReplication(context.Context) error            { return nil }
func (harmlessRig) Promote(context.Context) error                   { return nil }
func (harmlessRig) RestartEmpty(context.Context) error              { return nil }
func (harmlessRig) Lost(locker.Locker) (int64, error)               { return 0, nil }
func (harmlessRig) PauseServer(context.Context) error               { return nil }
func (harmlessRig) ResumeServer(context.Context) error              { return nil }
func (harmlessRig) DisconnectServer(context.Context) error          { return nil }
func (harmlessRig) ReconnectServer(context.Context) error           { return nil }
func (harmlessRig) KillServer(context.Context) error                { return nil }
func (harmlessRig) RestartServer(context.Context) error             { return nil }
func (harmlessRig) Crash(locker.Locker) error                       { return nil }
func (harmlessRig) Cut(locker.Locker, conformance.Direction) error  { return nil }
func (harmlessRig) Heal(locker.Locker) error                        { return nil }
func (harmlessRig) Reset(locker.Locker) (int, error)                { return 0, nil }
func (harmlessRig) HalfOpen(locker.Locker) error                    { return nil }
func (harmlessRig) Swallowed(locker.Locker) (int64, error)          { return 0, nil }
func (harmlessRig) Stall(locker.Locker) error                       { return nil }
func (harmlessRig) Unstall(locker.Locker) error                     { return nil }
func (harmlessRig) Late(locker.Locker) (int64, error)               { return 0, nil }
func (harmlessRig) DropReplies(locker.Locker, int) error            { return nil }
func (harmlessRig) Delay(locker.Locker, conformance.Direction, time.Duration) error {
	return nil
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
