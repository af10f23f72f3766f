package broken

import (
	"context"

	"github.com/lockerlib/locker/conformance"
)

var _ conformance.Failover = (*rig)(nil)

// CutReplication keeps from the replica what comes from now on.
func (r *rig) CutReplication(context.Context) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	replica := s.snapshot()
	s.replica = &replica
	return nil
}

// Promote puts the replica in the place of the primary, which ends all
// connections. A replica whose link was not cut has everything.
func (r *rig) Promote(ctx context.Context) error {
	s := r.server
	s.mu.Lock()
	if s.replica != nil {
		s.data, s.replica = *s.replica, nil
		s.skipped += 1000
		s.counts = s.flaw.promotionCounts
	}
	s.settleAll()
	s.hangUpAll()
	s.mu.Unlock()
	return ctx.Err()
}

func pairs() []spoiledLock {
	return []spoiledLock{
		{"counts on the primary", "The counter for tokens goes on from what the replica has.", "S9", "tokens increase under every fault", flaw{tokensCounted: true}},
	}
}
