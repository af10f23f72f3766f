package memlock

import (
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

// A shard keeps the names of one hash value. No operation but View.Current
// holds more than one shard.
//
// mu is held for short stretches of computation only, never while anything is
// waited for or called back. What is to be pushed is put into the outboxes of
// the links under mu, which fixes its order, and delivered by unlock.
type shard struct {
	server *Server

	mu     sync.Mutex // guards everything below, and the queues with their claims
	queues map[string]*queue
	graves map[string]grave // by claim ID
	dirty  []*link          // have something in their outbox for unlock to deliver
	timer  *time.Timer      // nil unless armed
	armed  time.Time        // when timer fires; never after the earliest deadline

	_ [64]byte // keeps neighbours off this cache line
}

func (sh *shard) lock() { sh.mu.Lock() }

// unlock gives the shard back, then delivers what was pushed meanwhile.
func (sh *shard) unlock() {
	dirty := sh.dirty
	sh.dirty = nil
	sh.mu.Unlock()
	for _, l := range dirty {
		l.flush()
	}
}

func (sh *shard) push(l *link, p push) {
	if l.post(p) {
		sh.dirty = append(sh.dirty, l)
	}
}

// add puts c at the end of the queue of its name, which makes it the holder
// where there is none.
func (sh *shard) add(c *claim, now time.Time) *queue {
	q := sh.queues[c.Name]
	if q == nil {
		q = &queue{name: c.Name, holder: c}
		sh.queues[c.Name] = q
		c.tenure = sh.server.mint()
	} else {
		q.enqueue(c)
	}
	c.since = now
	sh.watch(c.deadline)
	return q
}

// remove takes c out of q. If it was the holder, the next waiter that is alive
// holds from the same instant on.
func (sh *shard) remove(q *queue, c *claim) {
	if c != q.holder {
		q.dequeue(c)
		return
	}
	if q.first == nil {
		q.holder = nil
		delete(sh.queues, q.name)
		return
	}
	now := time.Now()
	for q.first != nil {
		next := q.first
		q.dequeue(next)
		if next.expired(now) {
			sh.push(next.link, push{id: next.ID, reason: locker.LostExpired})
			continue
		}
		next.tenure, next.since = sh.server.mint(), now
		q.holder = next
		sh.push(next.link, push{id: next.ID, tenure: next.tenure})
		return
	}
	q.holder = nil
	delete(sh.queues, q.name)
}

// drop removes c without its client's doing, and tells the client.
func (sh *shard) drop(q *queue, c *claim, reason locker.LostReason) {
	sh.push(c.link, push{id: c.ID, reason: reason})
	sh.remove(q, c)
}
