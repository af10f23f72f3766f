package broken

import (
	"context"
	"maps"
	"time"

	"github.com/lockerlib/locker/conformance"
)

var _ conformance.Stepper = (*rig)(nil)

// A clock tells a server the time of day, by which its leases end and its
// tokens grow.
type clock struct {
	stepped time.Duration
	read    uint64 // how often for a token
}

func (s *server) now() time.Time { return time.Now().Add(s.clock.stepped) }

// tick is the time in units of 10 µs. Minting a token takes as long at least on
// a real machine, and no time at all in a bubble; so each reading counts as one
// unit. mu is held.
func (s *server) tick() uint64 {
	s.clock.read++
	unit := 10 * time.Microsecond
	if s.flaw.coarseTokens {
		return uint64(s.now().UnixMilli())
	}
	return uint64(s.now().UnixNano()/int64(unit)) + s.clock.read
}

// StepServer steps the clock of the server.
func (r *rig) StepServer(_ context.Context, d time.Duration) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.stepped += d
	s.settleAll()
	return nil
}

// settleAll settles every name. mu is held.
func (s *server) settleAll() {
	for name := range maps.Clone(s.queues) {
		s.settle(name)
	}
}

func clocks() []spoiledLock {
	return []spoiledLock{
		{"token is the time", "The token is the server's time of day, whatever was minted before.", "S13", "tokens increase under every fault", flaw{tokenIsTime: true}},
	}
}
