package memlock

import (
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// A claim is one entry in the queue of a name: its holder or a waiter.
type claim struct {
	driver.Claim           // as last asked for, with TTL as granted
	link         *link     // the client that is told about it
	tenure       uint64    // 0 while it waits
	since        time.Time // when it began to hold or, before that, to wait
	deadline     time.Time // when the server drops it

	prev, next *claim // among the waiters
}

// expired: a lease of T that begins at t is over at t+T, not after it.
func (c *claim) expired(now time.Time) bool { return !now.Before(c.deadline) }

// extend never shortens: a client that did not get the answer still counts on
// the lease that it knew before.
func (c *claim) extend(now time.Time, ttl time.Duration) {
	if d := now.Add(ttl); d.After(c.deadline) {
		c.deadline = d
	}
}

func (c *claim) holder(now time.Time) locker.Holder {
	return locker.Holder{
		Client:    c.Client,
		Owner:     c.Owner,
		Metadata:  c.Metadata,
		Token:     driver.Token(c.tenure),
		Since:     c.since,
		Remaining: max(0, c.deadline.Sub(now)),
	}
}

// A queue is what the server keeps of one name: a holder, and the waiters in
// the order in which they came. It exists only while there is a holder.
//
// Waiters are found by ID through a map and the holder by comparison, so that
// an uncontended name costs no map of its own.
type queue struct {
	name        string
	holder      *claim
	first, last *claim
	waiting     map[string]*claim
}

func (q *queue) find(id string) *claim {
	if q.holder != nil && q.holder.ID == id {
		return q.holder
	}
	return q.waiting[id]
}

func (q *queue) enqueue(c *claim) {
	c.prev, c.next = q.last, nil
	if q.last != nil {
		q.last.next = c
	} else {
		q.first = c
	}
	q.last = c
	if q.waiting == nil {
		q.waiting = make(map[string]*claim)
	}
	q.waiting[c.ID] = c
}

func (q *queue) dequeue(c *claim) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.last = c.prev
	}
	c.prev, c.next = nil, nil
	delete(q.waiting, c.ID)
}

// after returns the claim behind c, or nil.
func (q *queue) after(c *claim) *claim {
	if c == q.holder {
		return q.first
	}
	return c.next
}
