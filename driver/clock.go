package driver

import (
	"time"

	"github.com/lockerlib/locker"
)

// A Clock tells the engine the time. Deadlines count on SinceBoot, which goes
// on while the machine is suspended; Now is only shown to people.
type Clock struct {
	Now       func() time.Time
	SinceBoot func() time.Duration
	// Suspends says that SinceBoot can run ahead of Go's timers, as it does
	// after a suspension. Then the engine looks at it every 50 ms while it has
	// holds.
	Suspends bool
}

type clockKey struct{}

// WithClock replaces the clock of one Locker, for tests of what happens when a
// machine was suspended or its wall clock is stepped.
func WithClock(c Clock) locker.OpenOption { return locker.WithBackend(clockKey{}, c) }

// TakeClock takes the clock out of cfg: the one of WithClock, or else fallback.
func TakeClock(cfg *locker.Config, fallback Clock) Clock {
	c, ok := cfg.Backend(clockKey{})
	if !ok {
		return fallback
	}
	given := c.(Clock)
	if given.Now == nil {
		given.Now = fallback.Now
	}
	if given.SinceBoot == nil {
		given.SinceBoot, given.Suspends = fallback.SinceBoot, fallback.Suspends
	}
	return given
}

// GoClock follows Go's own clock, which a testing/synctest bubble replaces and
// which stands still while the machine is suspended. It is right where the
// server lives in the same process.
func GoClock() Clock {
	start := time.Now()
	return Clock{
		Now:       time.Now,
		SinceBoot: func() time.Duration { return time.Since(start) + 1 },
	}
}
