package broken

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A claim stands in the queue of a name; the first one holds.
type claim struct {
	id, client, identity, owner, metadata string

	ttl     time.Duration
	expires time.Time // zero: never
	token   uint64    // 0 while waiting
	wake    chan struct{}
	feed    *feed          // through which it is woken
	blind   bool           // grant it without looking, as flawed code asks
	push    *atomic.Uint64 // the token that was pushed and not read yet

	fate // what only flawed code asks about
}

// A server keeps the queues. It is right, except for its flaw.
type server struct {
	flaw     *flaw
	requests atomic.Int64

	mu      sync.Mutex           // guards all below
	data                         // what is stored
	replica *data                // what a replica stores whose link is cut
	store   map[string]entry     // of the locks of tutorials
	scripts map[script]bool      // that it was sent
	alarms  map[string]time.Time // when each name is settled next
	clock   clock
	history history
	cluster cluster
	ballast int           // entries of foreign data
	paused  chan struct{} // while the server stands still; closed when it goes on
	killed  bool
	apart   chan struct{} // while it is off its network; closed when it is back
	foreign []string      // keys that are not the library's
	residue []string      // what flawed code leaves behind
	closed  bool          // a caller's client that flawed code closed

	counters map[string]bool // that flawed code keeps for ever

	memory // what only flawed code remembers
}

func newServer(f *flaw) *server {
	return &server{flaw: f, data: newData(), store: make(map[string]entry), scripts: make(map[script]bool), counters: make(map[string]bool), alarms: make(map[string]time.Time), memory: newMemory()}
}

// settle drops the claims that ran out, and grants the name to whoever is first
// now. mu is held.
func (s *server) settle(name string) {
	if s.still() {
		return
	}
	now := s.now()
	q := slices.DeleteFunc(s.queues[name], func(c *claim) bool {
		if c.token == 0 && s.flaw.waitersLiveForever || s.flaw.expiryNeverNoticed {
			return false
		}
		return !c.expires.IsZero() && !now.Before(c.expires)
	})
	s.expired(name, q)
	s.queues[name] = q
	if len(q) == 0 {
		s.emptied(name)
		delete(s.queues, name)
		if s.flaw.tokenInKey {
			delete(s.tokens, name)
		}
		return
	}
	if q[0].token == 0 {
		q[0].token = s.mint(name, q[0])
		if s.flaw.waitersLiveForever {
			q[0].expires = time.Time{}
		}
		if s.flaw.spareAtGrant && q[0].waited {
			q[0].expires = now.Add(q[0].ttl * 3 / 2)
		}
		if !q[0].muted {
			s.push(q[0])
		}
	}
	if next := earliest(q); next.After(now) && !s.flaw.wakesOnReleaseOnly && (len(q) > 1 || !s.flaw.renewsLate) {
		s.alarm(name, time.Now().Add(next.Sub(now)))
	}
}

// alarm settles a name at a time, unless that is done before anyway. mu is held.
func (s *server) alarm(name string, at time.Time) {
	if set, ok := s.alarms[name]; ok && !set.After(at) {
		return
	}
	s.alarms[name] = at
	time.AfterFunc(time.Until(at), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.alarms[name].Equal(at) {
			delete(s.alarms, name)
		}
		if s.unnoticed(name) {
			return
		}
		s.settle(name)
	})
}

func earliest(q []*claim) (t time.Time) {
	for _, c := range q {
		if !c.expires.IsZero() && (t.IsZero() || c.expires.Before(t)) {
			t = c.expires
		}
	}
	return t
}

func (s *server) mint(name string, c *claim) uint64 {
	key := name
	if s.flaw.tokenPerClient {
		key += "\x00" + c.client
	}
	if s.flaw.tokenPerStay && s.last[name] == c.client {
		return s.tokens[key]
	}
	if t, ok := s.instead(name, c); ok {
		return t
	}
	s.last[name] = c.client
	if s.flaw.counterStays {
		s.counters[name] = true
	}
	// The clock goes on when what was minted before is forgotten, and that goes
	// on when the clock is set back.
	s.tokens[key]++
	switch tick := s.tick(); {
	case s.flaw.tokenIsTime:
		s.tokens[key] = tick
	case !s.flaw.tokensCounted && !s.flaw.skipsThousand && !s.counts:
		s.tokens[key] = max(s.tokens[key], tick)
	}
	t := s.tokens[key]
	s.given[name] = t
	if s.flaw.token != nil {
		t = s.flaw.token(name, c, t)
	}
	return t
}

func (s *server) find(name, id string) *claim {
	for _, c := range s.queues[name] {
		if c.id == id {
			return c
		}
	}
	return nil
}

// An answer says where a claim stands.
type answer struct {
	held, queued, refused, noRoom bool
	outside                       bool // where flawed code leaves a waiter
	token                         uint64
	ttl                           time.Duration
	holder                        claim
	waiters                       int
}

// claim puts c into the queue, or finds it there.
func (s *server) claim(name string, c *claim, try, mayCreate bool) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.flaw.mapName(name)
	s.settle(name)
	if s.flaw.lazyReplicas || s.flaw.diesWithLast {
		s.look()
	}
	q := s.queues[name]
	have := s.find(name, c.id)
	switch {
	case s.undone[c.id], have == nil && !mayCreate:
		s.late(name, c)
		return answer{}
	case have == nil && c.watching && len(q) > 0 && !s.had[c.id]:
		return answer{outside: true}
	case have == nil && try && len(q) > 0 && !s.takes(c):
		if s.flaw.leaseUntilClose {
			s.residue = append(s.residue, leaseOf(c.client))
		}
		if s.flaw.leaseLeftByTry {
			s.residue = append(s.residue, "lease of "+c.id)
		}
		return s.refusal(q)
	case have == nil && s.full():
		return answer{noRoom: true}
	case have == nil:
		have = c
		have.ttl = s.flaw.grantTTL(have.ttl)
		have.waited = len(q) > 0
		have.queuedBehind(q)
		s.insert(name, have)
	default:
		have.again++
	}
	s.follow(have, c.feed)
	if have.ttl > 0 && (have == c || !s.flaw.waitingRenewsNothing) {
		have.expires = s.now().Add(s.flaw.lease(have.ttl))
	}
	if try && have.token == 0 && s.takes(c) {
		have.token = s.mint(name, have)
	}
	s.settle(name)
	s.share(have)
	held := have.token != 0 && !have.missed
	return answer{held: held, queued: !held, token: have.token, ttl: have.ttl, holder: *s.queues[name][0], waiters: len(s.queues[name]) - 1}
}

func (s *server) insert(name string, c *claim) {
	q := append(slices.Clip(s.queues[name]), c)
	switch {
	case s.flaw.lifo && len(q) > 2:
		q = slices.Insert(slices.Clone(s.queues[name]), 1, c)
	case s.flaw.handsDown && len(q) > 2 && c.client == q[0].client:
		// Before the first waiter of another client.
		rest := s.queues[name]
		i := 1
		for i < len(rest) && rest[i].client == c.client {
			i++
		}
		q = slices.Insert(slices.Clone(rest), i, c)
	case s.flaw.favours && len(q) > 2:
		slices.SortStableFunc(q[1:], func(a, b *claim) int { return cmp.Compare(a.client, b.client) })
	}
	s.queues[name] = q
}

// renew sets the lease of a hold or a waiter.
func (s *server) renew(name, id string, ttl time.Duration) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.flaw.mapName(name)
	c := s.find(name, id)
	if !s.flaw.renewsLate || c != nil && s.now().Sub(c.expires) > c.ttl/2 {
		s.settle(name)
		c = s.find(name, id)
	}
	if q := s.queues[name]; c == nil && s.flaw.renewsByName && len(q) > 0 {
		c = q[0]
	}
	if c == nil {
		s.stray(name, id, ttl)
	}
	if c == nil && s.flaw.renewalRevives && len(s.queues[name]) == 0 {
		c = &claim{id: id, ttl: ttl, wake: make(chan struct{}, 1)}
		s.queues[name] = []*claim{c}
	}
	if c == nil || s.flaw.renewalWrites && s.full() {
		return false
	}
	if s.flaw.renewsOne && s.holdsBefore(c) {
		return true
	}
	if c.renewed++; s.flaw.skipsEvenRenewal && c.renewed%2 == 0 {
		return true
	}
	s.renewed[id] = true
	from := s.now().Add(time.Duration(c.renewed) * s.flaw.renewalCreeps)
	if s.flaw.renewalAdds {
		from = c.expires
	}
	if !c.expires.IsZero() || s.flaw.renewalRevives {
		c.expires = from.Add(s.flaw.lease(c.ttl))
	}
	s.settle(name)
	return true
}

// holdsBefore reports whether the client of c has a hold that is older. mu is
// held.
func (s *server) holdsBefore(c *claim) bool {
	for _, q := range s.queues {
		if q[0].client == c.client && q[0].id < c.id {
			return true
		}
	}
	return false
}

// undo removes a claim that came to nothing.
func (s *server) undo(name, id string) {
	s.remove(name, func(c *claim) bool { return c.id == id && (c.token == 0 || !s.flaw.leavesQueueOnly && !s.keeps[id]) }, id, true)
}

// release removes a hold.
func (s *server) release(name, id, client, identity string) (found bool) {
	return s.remove(name, func(c *claim) bool {
		return c.id == id ||
			s.flaw.releasesByName && c.token != 0 ||
			(s.flaw.releasesByClient || s.flaw.retriesByClient) && c.token != 0 && c.client == client ||
			s.flaw.releasesByPrefix && c.token != 0 && strings.HasPrefix(c.identity, identity)
	}, id, false)
}

func (s *server) remove(name string, match func(*claim) bool, id string, undo bool) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.flaw.mapName(name)
	s.settle(name)
	if s.flaw.releaseIgnored {
		return true
	}
	q := s.queues[name]
	i := slices.IndexFunc(q, match)
	if !s.flaw.sharesByClient {
		s.undone[id] = true // a claim with this ID may still be on its way
	}
	if i < 0 || s.flaw.releaseWrites && s.full() {
		return false
	}
	gone := q[i]
	wasHeld, ours := gone.token != 0, gone.id == id
	q = slices.Delete(q, i, i+1)
	if s.flaw.keyLeft && wasHeld {
		s.residue = append(s.residue, "key "+name)
	}
	if s.flaw.cancelReorders && !wasHeld && len(q) > 2 {
		q = append(slices.Insert(slices.Clone(q[2:]), 0, q[0]), q[1])
	}
	if wasHeld {
		s.pass(gone, q, undo)
	}
	s.queues[name] = q
	if wasHeld && len(q) > 1 && q[1].token == 0 && s.wakesTwo(gone, q) {
		q[1].token = s.mint(name, q[1])
		s.push(q[1])
	}
	if !s.flaw.wakesNobody {
		s.settle(name)
	}
	return ours || !s.flaw.tellsLost
}

// end removes the hold of a name: an eviction, or a break of this token.
func (s *server) end(name string, token uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.flaw.mapName(name)
	s.settle(name)
	if _, ok := s.store[name]; ok {
		delete(s.store, name)
		return true
	}
	q := s.queues[name]
	if len(q) == 0 || token != 0 && q[0].token != token && !s.flaw.breaksAny {
		return false
	}
	s.removed[q[0].id] = removal{happened: true, broken: token != 0}
	if s.flaw.setsBack && token == 0 && q[0].renewed == 0 {
		s.setBack[name] = q[0].token
	}
	s.queues[name] = q[1:]
	if s.flaw.tokenResetByEviction {
		delete(s.tokens, name)
	}
	s.settle(name)
	return true
}

// nextToken takes a token in a request of its own.
func (s *server) nextToken(name string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[name]++
	return s.tokens[name]
}

func (s *server) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.Clone(s.residue)
	for name, q := range s.queues {
		for _, c := range q {
			left = append(left, fmt.Sprintf("claim %s on %q", c.id, name))
		}
	}
	return left
}
