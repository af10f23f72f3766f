package memlock

import (
	"time"

	"github.com/lockerlib/locker"
)

// A grave remembers a claim that the server no longer has. There are two kinds.
//
// A barred one (a tombstone) is left by an uncertain release: a Claim of that
// ID that arrives later comes to nothing. It lasts for one TTL, which is enough,
// because a Claim that travelled for a TTL is not carried out either: such a
// grant would be over before its client could learn of it. That bounds what is
// stored, and leaves no gap.
//
// The other kind tells a client that missed the push why its claim is gone, for
// as long as the lease would have lasted.
//
// Both go at once when their client closes: nothing that it sent is carried out
// after that.
type grave struct {
	link   *link
	barred bool
	reason locker.LostReason
	until  time.Time
}

func (sh *shard) bury(id string, g grave) {
	if sh.graves == nil {
		sh.graves = make(map[string]grave)
	}
	sh.graves[id] = g
	sh.watch(g.until)
}

// barred reports whether a tombstone keeps the claim id away.
func (sh *shard) barred(id string, now time.Time) bool {
	g, ok := sh.graves[id]
	return ok && g.barred && now.Before(g.until)
}

// epitaph tells why the claim id is gone, or 0 if that is not known.
func (sh *shard) epitaph(id string, now time.Time) locker.LostReason {
	if g := sh.graves[id]; now.Before(g.until) {
		return g.reason
	}
	return 0
}

// forget removes the graves of a client that has closed.
func (sh *shard) forget(l *link) {
	sh.lock()
	defer sh.unlock()
	for id, g := range sh.graves {
		if g.link == l {
			delete(sh.graves, id)
		}
	}
}
