package memlock

import (
	"slices"
	"strings"
	"time"

	"github.com/lockerlib/locker"
)

// inspect reads one name under one lock of its shard.
func (s *Server) inspect(name string) (locker.Status, error) {
	sh := s.shard(name)
	sh.lock()
	defer sh.unlock()
	now := time.Now()
	q := sh.living(name, now)
	if q == nil {
		return locker.Status{}, locker.ErrNotHeld
	}
	st := q.status(now)
	for c := q.first; c != nil; c = c.next {
		st.Waiters = append(st.Waiters, locker.Waiter{
			Client: c.Client, Owner: c.Owner, Metadata: c.Metadata, Since: c.since,
		})
	}
	return st, nil
}

// list reads shard after shard, and sorts by name.
func (s *Server) list(prefix string) []locker.Status {
	var all []locker.Status
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		now := time.Now()
		for _, q := range sh.queues {
			if strings.HasPrefix(q.name, prefix) && !q.holder.expired(now) {
				all = append(all, q.status(now))
			}
		}
		sh.unlock()
	}
	slices.SortFunc(all, func(a, b locker.Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (q *queue) status(now time.Time) locker.Status {
	return locker.Status{Name: q.name, Holder: q.holder.holder(now), WaiterCount: len(q.waiting)}
}
