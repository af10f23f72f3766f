package memlock

import (
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// minTTL is the shortest lease that the server keeps: below it, the deadline
// would pass before a caller could do anything.
const minTTL = time.Millisecond

// claim carries out driver.Backend's Claim for the client l. travelled is how
// long the request was on its way.
func (s *Server) claim(l *link, req driver.Claim, travelled time.Duration) driver.Answer {
	req.TTL = max(req.TTL, minTTL)
	sh := s.shard(req.Name)
	sh.lock()
	defer sh.unlock()

	now := time.Now()
	// A client that closes sets over before its tombstones are taken away,
	// shard by shard. So a claim that arrives just then meets either.
	if travelled >= req.TTL || l.over.Load() || sh.barred(req.ID, now) {
		return driver.Answer{State: driver.Gone}
	}
	q := sh.living(req.Name, now)
	if q != nil {
		if c := q.find(req.ID); c != nil {
			c.extend(now, req.TTL)
			c.Claim = req
			return q.answer(c, now)
		}
		if req.Try {
			return driver.Answer{State: driver.Refused, Holder: q.holder.holder(now), Waiters: len(q.waiting)}
		}
	}
	delete(sh.graves, req.ID) // an epitaph of this ID is no longer true
	c := &claim{Claim: req, link: l, deadline: now.Add(req.TTL)}
	q = sh.add(c, now)
	return q.answer(c, now)
}

// answer says where c stands.
func (q *queue) answer(c *claim, now time.Time) driver.Answer {
	if c == q.holder {
		return driver.Answer{State: driver.Held, Tenure: c.tenure, TTL: c.TTL}
	}
	return driver.Answer{
		State:   driver.Queued,
		TTL:     c.TTL,
		Holder:  q.holder.holder(now),
		Waiters: len(q.waiting) - 1,
	}
}

// renew carries out driver.Backend's Renew. Each claim is renewed by itself: no
// two of them need to be seen at the same instant.
func (s *Server) renew(refs []driver.Ref) []driver.Answer {
	answers := make([]driver.Answer, len(refs))
	for i, r := range refs {
		answers[i] = s.renewOne(r)
	}
	return answers
}

func (s *Server) renewOne(r driver.Ref) driver.Answer {
	sh := s.shard(r.Name)
	sh.lock()
	defer sh.unlock()

	now := time.Now()
	q := sh.queues[r.Name]
	if q == nil {
		return driver.Answer{State: driver.Gone, Reason: sh.epitaph(r.ID, now)}
	}
	c := q.find(r.ID)
	if c == nil {
		return driver.Answer{State: driver.Gone, Reason: sh.epitaph(r.ID, now)}
	}
	if c.expired(now) {
		sh.drop(q, c, locker.LostExpired)
		return driver.Answer{State: driver.Gone, Reason: locker.LostExpired}
	}
	// By the TTL that the client counts with: a change of it may be unanswered.
	c.extend(now, max(r.TTL, minTTL))
	if c == q.holder {
		return driver.Answer{State: driver.Held, Tenure: c.tenure}
	}
	return driver.Answer{State: driver.Queued}
}

// release carries out driver.Backend's Release for the client l.
func (s *Server) release(l *link, r driver.Release) (found bool) {
	sh := s.shard(r.Name)
	sh.lock()
	defer sh.unlock()

	ttl := r.TTL
	if q := sh.queues[r.Name]; q != nil {
		if c := q.find(r.ID); c != nil {
			found, ttl = true, max(ttl, c.TTL)
			sh.remove(q, c)
		}
	}
	if r.Uncertain && !l.over.Load() {
		if ttl <= 0 {
			ttl = locker.MaxTTL // of a claim that was never seen, any TTL may come
		}
		sh.bury(r.ID, grave{link: l, barred: true, until: time.Now().Add(max(ttl, minTTL))})
	}
	return found
}

// end removes the hold of name for reason, if it has this tenure or if tenure
// is 0, and remembers why until its lease would have ended.
func (s *Server) end(name string, tenure uint64, reason locker.LostReason) error {
	sh := s.shard(name)
	sh.lock()
	defer sh.unlock()

	now := time.Now()
	q := sh.living(name, now)
	if q == nil || (tenure != 0 && q.holder.tenure != tenure) {
		return locker.ErrNotHeld
	}
	c := q.holder
	sh.drop(q, c, reason)
	sh.bury(c.ID, grave{link: c.link, reason: reason, until: c.deadline})
	return nil
}

// living returns the queue of name without the claims that have expired, or nil
// if nobody is left. It does not rely on the timer, which fires at the same
// instant and may come second.
func (sh *shard) living(name string, now time.Time) *queue {
	q := sh.queues[name]
	if q == nil {
		return nil
	}
	if sh.armed.After(now) {
		return q // nothing in this shard has expired
	}
	sh.prune(q, now)
	return sh.queues[name]
}
