//go:build unix

package dirlock_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/driver"
	"github.com/lockerlib/locker/examples/dirlock"
)

func TestConformance(t *testing.T) { conformance.Run(t, maker{}) }

type maker struct{}

func (maker) Profile() conformance.Profile {
	return conformance.Profile{Backend: "directory", TTL: time.Second, Slack: 100 * time.Millisecond, FIFO: true, Without: without()}
}

func (maker) Make(context.Context) (conformance.Rig, error) {
	dir, err := os.MkdirTemp(memory, "dirlock")
	return rig{dir}, err
}

type rig struct{ dir string }

func (r rig) Open(_ context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	return dirlock.Open(r.dir, opts...)
}
func (r rig) Close() error { return os.RemoveAll(r.dir) }

// memory is a directory on a tmpfs, or "" for that of other temporary files.
var memory = func() string {
	if f, err := os.Stat("/dev/shm"); err == nil && f.IsDir() {
		return "/dev/shm"
	}
	return ""
}()

// without declares every power that a check can ask for: this rig only opens
// clients. A backend that is to be used has a rig with all that its server can
// have done to it.
func without() map[conformance.Power]string {
	powers := make(map[conformance.Power]string)
	for _, c := range conformance.Checks() {
		for _, p := range c.Needs {
			powers[p] = "the rig of the example only opens clients"
		}
	}
	return powers
}

// An option that belongs to another backend is refused, not ignored.
func TestForeignOption(t *testing.T) {
	type other struct{}
	if l, err := dirlock.Open(t.TempDir(), locker.WithBackend(other{}, 1)); !errors.Is(err, locker.ErrInvalid) || l != nil {
		t.Errorf("Open gave %v, %v", l, err)
	}
}

// Who is refused is told how many others wait, and does not count itself.
func TestWaitersDoNotCountTheCaller(t *testing.T) {
	b := dirlock.Backend{Dir: t.TempDir()}
	claim := func(id string, try bool) driver.Answer {
		a, err := b.Claim(t.Context(), driver.Claim{ID: id, Name: "name", TTL: time.Minute, Try: try})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	claim("holder", false)
	for i, c := range []struct {
		id  string
		try bool
	}{{"first", false}, {"second", false}, {"third", true}} {
		if a := claim(c.id, c.try); a.Waiters != i {
			t.Errorf("%s was told of %d waiters, want %d", c.id, a.Waiters, i)
		}
	}
}
