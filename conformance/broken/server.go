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
}

// A server keeps the queues. It is right, except for its flaw.
type server struct {
	flaw     *flaw
	requests atomic.Int64

	mu      sync.Mutex // guards all below
	queues  map[string][]*claim
	tokens  map[string]uint64
	last    map[string]string // who held each name last
	store   map[string]entry  // of the locks of tutorials
	undone  map[string]bool   // claims that must come to nothing
	paused  chan struct{}     // while the server stands still; closed when it goes on
	killed  bool
	foreign []string // keys that are not the library's
	residue []string // what flawed code leaves behind
	closed  bool     // a caller's client that flawed code closed

	counters map[string]bool // that flawed code keeps for ever
}

func newServer(f *flaw) *server {
	return &server{flaw: f, queues: make(map[string][]*claim), tokens: make(map[string]uint64), last: make(map[string]string), store: make(map[string]entry), undone: make(map[string]bool), counters: make(map[string]bool)}
}

// settle drops the claims that ran out, and grants the name to whoever is first
// now. mu is held.
func (s *server) settle(name string) {
	if s.still() {
		return
	}
	now := time.Now()
	q := slices.DeleteFunc(s.queues[name], func(c *claim) bool {
		if c.token == 0 && s.flaw.waitersLiveForever || s.flaw.expiryNeverNoticed {
			return false
		}
		return !c.expires.IsZero() && !now.Before(c.expires)
	})
	s.queues[name] = q
	if len(q) == 0 {
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
		poke(q[0])
	}
	if next := earliest(q); next.After(now) && !s.flaw.wakesOnReleaseOnly {
		time.AfterFunc(next.Sub(now), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settle(name)
		})
	}
}

func earliest(q []*claim) (t time.Time) {
	for _, c := range q {
		if !c.expires.IsZero() && (t.IsZero() || c.expires.Before(t)) {
			t = c.expires
		}
	}
	return t
}

func poke(c *claim) {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (s *server) mint(name string, c *claim) uint64 {
	key := name
	if s.flaw.tokenPerClient {
		key += "\x00" + c.client
	}
	if s.flaw.tokenPerStay && s.last[name] == c.client {
		return s.tokens[key]
	}
	s.last[name] = c.client
	if s.flaw.counterStays {
		s.counters[name] = true
	}
	s.tokens[key]++
	if s.flaw.coarseTokens {
		s.tokens[key] = max(s.tokens[key], uint64(time.Now().UnixMilli()))
	}
	t := s.tokens[key]
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
	held, queued, refused bool
	token                 uint64
	ttl                   time.Duration
	holder                claim
	waiters               int
}

// claim puts c into the queue, or finds it there.
func (s *server) claim(name string, c *claim, try, mayCreate bool) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.flaw.mapName(name)
	s.settle(name)
	q := s.queues[name]
	have := s.find(name, c.id)
	switch {
	case s.undone[c.id], have == nil && !mayCreate:
		return answer{}
	case have == nil && try && len(q) > 0 && !s.flaw.tryGrants:
		if s.flaw.leaseLeftByTry {
			s.residue = append(s.residue, "lease of "+c.id)
		}
		return answer{refused: true, holder: *q[0], waiters: len(q) - 1}
	case have == nil:
		have = c
		have.ttl = s.flaw.grantTTL(have.ttl)
		s.insert(name, have)
	}
	if have.ttl > 0 {
		have.expires = time.Now().Add(s.flaw.lease(have.ttl))
	}
	if s.flaw.tryGrants && try && have.token == 0 {
		have.token = s.mint(name, have)
	}
	s.settle(name)
	return answer{held: have.token != 0, queued: have.token == 0, token: have.token, ttl: have.ttl, holder: *s.queues[name][0], waiters: len(s.queues[name]) - 1}
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
	s.settle(name)
	c := s.find(name, id)
	if q := s.queues[name]; c == nil && s.flaw.renewsByName && len(q) > 0 {
		c = q[0]
	}
	if c == nil && s.flaw.renewalRevives && len(s.queues[name]) == 0 {
		c = &claim{id: id, ttl: ttl, wake: make(chan struct{}, 1)}
		s.queues[name] = []*claim{c}
	}
	if c == nil {
		return false
	}
	from := time.Now()
	if s.flaw.renewalAdds {
		from = c.expires
	}
	if !c.expires.IsZero() || s.flaw.renewalRevives {
		c.expires = from.Add(s.flaw.lease(c.ttl))
	}
	s.settle(name)
	return true
}

// undo removes a claim that came to nothing.
func (s *server) undo(name, id string) {
	s.remove(name, func(c *claim) bool { return c.id == id && (c.token == 0 || !s.flaw.leavesQueueOnly) }, id)
}

// release removes a hold.
func (s *server) release(name, id, client, identity string) (found bool) {
	return s.remove(name, func(c *claim) bool {
		return c.id == id ||
			s.flaw.releasesByName && c.token != 0 ||
			(s.flaw.releasesByClient || s.flaw.retriesByClient) && c.token != 0 && c.client == client ||
			s.flaw.releasesByPrefix && c.token != 0 && strings.HasPrefix(c.identity, identity)
	}, id)
}

func (s *server) remove(name string, match func(*claim) bool, id string) (found bool) {
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
	if i < 0 {
		return false
	}
	wasHeld, ours := q[i].token != 0, q[i].id == id
	q = slices.Delete(q, i, i+1)
	if s.flaw.keyLeft && wasHeld {
		s.residue = append(s.residue, "key "+name)
	}
	if s.flaw.cancelReorders && !wasHeld && len(q) > 2 {
		q = append(slices.Insert(slices.Clone(q[2:]), 0, q[0]), q[1])
	}
	s.queues[name] = q
	if s.flaw.wakesTwo && wasHeld && len(q) > 1 && q[1].token == 0 {
		q[1].token = s.mint(name, q[1])
		poke(q[1])
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
