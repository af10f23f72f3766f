package broken

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/lockerlib/locker/conformance"
)

var (
	_ conformance.Crowder = (*rig)(nil)
	_ conformance.Filler  = (*rig)(nil)
)

var errNoRoom = errors.New("broken: the server has no room for more")

// room is how many entries a server has room for.
const room = 20_000

// full reports whether there is no room for another entry. Names that are
// locked and foreign data take one each. mu is held.
func (s *server) full() bool { return s.ballast+len(s.queues) >= room }

// Fill writes foreign data until there is no room.
func (r *rig) Fill(context.Context) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.full() {
		s.ballast++
	}
	return nil
}

// Empty deletes it.
func (r *rig) Empty(context.Context) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.ballast = 0
	return nil
}

// Crowd writes foreign data to a server that makes room by evicting something,
// whatever it is.
func (r *rig) Crowd(_ context.Context, name string) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.ballast = 0 }()
	dice := rand.New(rand.NewPCG(1, 1))
	for range 20 * room {
		if len(s.queues[name]) == 0 {
			if s.flaw.evictsCounter {
				s.lowered[name] = 1
			}
			return nil
		}
		s.ballast++
		if s.full() {
			s.evictAny(dice)
		}
	}
	return fmt.Errorf("broken: the hold of %q was not evicted", name)
}

// evictAny makes room. mu is held.
func (s *server) evictAny(dice *rand.Rand) {
	i := dice.IntN(s.ballast + len(s.queues) + len(s.tokens))
	if i < s.ballast {
		s.ballast--
		return
	}
	i -= s.ballast
	if i < len(s.queues) {
		name := slices.Sorted(maps.Keys(s.queues))[i]
		delete(s.queues, name)
		s.settle(name)
		return
	}
	delete(s.tokens, slices.Sorted(maps.Keys(s.tokens))[i-len(s.queues)])
}

func rooms() []spoiledLock {
	return []spoiledLock{
		{"token in the hash", "The counter is a field of the hold, and is evicted with it.", "S10a", "tokens increase under every fault", flaw{tokenInKey: true, tokensCounted: true}},
		{"release writes", "A release writes what was released, which needs room.", "S15", "Release of a live hold returns nil", flaw{releaseWrites: true}},
		{"renewal writes", "A renewal writes the key anew, and is taken for a loss when there is no room.", "S15", "the hold lasts", flaw{renewalWrites: true}},
		{"full is held", "A claim that the server has no room for is taken for one that was refused.", "S15", "is not ErrHeld", flaw{fullIsHeld: true}},
	}
}
