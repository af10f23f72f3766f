package memlock

import (
	"time"

	"github.com/lockerlib/locker"
)

// watch sees to it that expire runs at t or earlier.
//
// One timer per shard is armed for the earliest deadline that was known when it
// was armed; a renewal or a release does not touch it. So a cycle of claim and
// release sets no timer, and a shard that is alive is scanned less than twice
// per TTL.
func (sh *shard) watch(t time.Time) {
	if sh.timer != nil && !t.Before(sh.armed) {
		return
	}
	if sh.timer != nil {
		sh.timer.Stop() // if it is too late for that, a scan finds nothing to do
	}
	sh.armed = t
	sh.timer = time.AfterFunc(time.Until(t), sh.expire)
}

// expire drops everything whose time is over, and arms the timer for the rest.
func (sh *shard) expire() {
	sh.lock()
	defer sh.unlock()
	if sh.timer != nil {
		sh.timer.Stop() // a timer that was armed anew while this one fired
		sh.timer = nil
	}
	now := time.Now()
	for _, q := range sh.queues {
		sh.prune(q, now)
	}
	for id, g := range sh.graves {
		if !now.Before(g.until) {
			delete(sh.graves, id)
		}
	}
	if next, found := sh.earliest(); found {
		sh.watch(next)
	}
}

// prune drops the claims of q that have expired. It may delete q.
func (sh *shard) prune(q *queue, now time.Time) {
	for c := q.first; c != nil; {
		next := c.next
		if c.expired(now) {
			sh.drop(q, c, locker.LostExpired)
		}
		c = next
	}
	if q.holder.expired(now) {
		sh.drop(q, q.holder, locker.LostExpired)
	}
}

func (sh *shard) earliest() (t time.Time, found bool) {
	note := func(d time.Time) {
		if !found || d.Before(t) {
			t, found = d, true
		}
	}
	for _, q := range sh.queues {
		note(q.holder.deadline)
		for c := q.first; c != nil; c = c.next {
			note(c.deadline)
		}
	}
	for _, g := range sh.graves {
		note(g.until)
	}
	return t, found
}

// rest disarms the timer of a shard that is empty. It is called when the last
// client leaves, so that nothing is left of a server that nobody uses, and so
// that a named server can serve one testing/synctest bubble after another.
func (sh *shard) rest() {
	sh.lock()
	defer sh.unlock()
	if sh.timer != nil && len(sh.queues) == 0 && len(sh.graves) == 0 {
		sh.timer.Stop()
		sh.timer = nil
	}
}
