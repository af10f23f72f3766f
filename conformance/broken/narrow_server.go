package broken

import (
	"strings"
	"time"
)

// A fate is what narrow flaws want to know of a claim.
type fate struct {
	granted   time.Time
	renewed   int         // how often
	waited    bool        // it was not granted at once
	again     int         // how often its client has asked again
	muted     bool        // its grant is not pushed
	passed    bool        // another one was served before it
	inherits  uint64      // the token that it gets, if not 0
	tried     bool        // by TryAcquire
	confirmed bool        // by an answer, as its client knows
	first     bool        // the answer is to the first request
	elsewhere bool        // of a client in another process
	sawFree   bool        // its client saw the name free before
	watching  bool        // its client knows that it was queued
	gone      func() bool // whether its client has crashed
	missed    bool        // its grant was told in vain
	sawAlive  bool        // it queued up while the client of the holder had not
}

// A memory is what only narrow flaws have a server remember.
type memory struct {
	renewed map[string]bool // claims that were renewed, by ID
	had     map[string]bool // claims that were granted, by ID
	keeps   map[string]bool // claims that are not undone once granted, by ID
	idle    map[string]time.Time
	setBack map[string]uint64 // counters, which the next expiry brings back
	removed map[string]removal
	joined  time.Time // when it last was back on its network
	ran     time.Time // when it last ran on after a standstill
	skipped uint64
	counts  bool // tokens follow no clock any more

	minted  map[string]uint64 // how many tokens
	given   map[string]uint64 // the last one
	holders map[string]string // to whom
	lowered map[string]uint64 // the next one
}

func newMemory() memory {
	return memory{
		renewed: make(map[string]bool), keeps: make(map[string]bool), had: make(map[string]bool), idle: make(map[string]time.Time),
		setBack: make(map[string]uint64), removed: make(map[string]removal),
		minted: make(map[string]uint64), given: make(map[string]uint64), holders: make(map[string]string), lowered: make(map[string]uint64),
	}
}

// takes reports whether a try gets the name whoever has it. mu is held.
func (s *server) takes(c *claim) bool {
	return s.flaw.tryGrants || c.blind || c.sawFree || s.flaw.trySeesProcess && c.elsewhere
}

// expired is told what is left of a queue after leases have run out. mu is held.
func (s *server) expired(name string, left []*claim) {
	if n, ok := s.setBack[name]; ok && len(left) < len(s.queues[name]) {
		s.lowered[name] = n
		delete(s.setBack, name)
	}
}

// emptied is told that nobody has or wants a name. mu is held.
func (s *server) emptied(name string) {
	if _, ok := s.idle[name]; !ok && s.flaw.forgetsIdle {
		s.idle[name] = time.Now()
	}
}

// instead is told that a hold begins, and returns the token that it gets
// instead of a new one. mu is held.
func (s *server) instead(name string, c *claim) (token uint64, ok bool) {
	s.minted[name]++
	s.had[c.id] = true
	last, before := s.holders[name], s.given[name]
	since, idle := s.idle[name]
	c.granted, s.holders[name] = time.Now(), c.client
	delete(s.idle, name)
	again := s.flaw.blocks > 0 && s.minted[name]%s.flaw.blocks == 0 && last != c.client
	switch token = s.lowered[name]; {
	case c.inherits != 0:
		token, ok = c.inherits, true
	case token != 0:
		ok = true
		delete(s.lowered, name)
	case idle && time.Since(since) >= c.ttl:
		token, ok = 1, true
	case again:
		token, ok = before, true
	}
	if s.flaw.skipsThousand && s.tokens[name] == 0 {
		s.tokens[name] = uint64(time.Now().UnixMilli()) + s.skipped
	}
	return token, ok
}

// unnoticed reports whether the expiry of the holder wakes nobody. mu is held.
func (s *server) unnoticed(name string) bool {
	q := s.queues[name]
	return s.flaw.crashUnnoticed && len(q) > 1 && q[1].sawAlive && q[0].token != 0 && q[0].renewed == 0 && q[0].gone != nil && q[0].gone()
}

// queuedBehind is told who was there when c came.
func (c *claim) queuedBehind(q []*claim) {
	c.sawAlive = len(q) > 0 && q[0].gone != nil && !q[0].gone()
}

// miss is told that a feed could not be told what there is. mu is held.
func (s *server) miss(f *feed) {
	if !s.flaw.tellsOnce {
		return
	}
	for _, c := range s.history.events[f.seen-s.history.compacted:] {
		if c != nil && c.feed == f && c.waited {
			c.missed = true
		}
	}
}

// share gives the holds of a client the longest of their leases. mu is held.
func (s *server) share(c *claim) {
	if !s.flaw.longestForAll || c.token == 0 {
		return
	}
	longest := c.ttl
	var all []*claim
	for _, q := range s.queues {
		if len(q) > 0 && q[0].client == c.client && q[0].token != 0 {
			all = append(all, q[0])
			longest = max(longest, q[0].ttl)
		}
	}
	for _, other := range all {
		other.expires = s.now().Add(longest)
	}
}

// late is told of a claim that came after its undo. mu is held.
func (s *server) late(name string, c *claim) {
	if s.flaw.undoneForEver && s.ran.Equal(time.Now()) && len(s.queues[name]) == 0 {
		c.expires = time.Time{}
		s.queues[name] = []*claim{c}
		s.settle(name)
	}
}

// stray is told of a renewal that found nothing. mu is held.
func (s *server) stray(name, id string, ttl time.Duration) {
	q := s.queues[name]
	revives := s.flaw.revivesSilently && s.removed[id].happened && !s.undone[id] ||
		s.flaw.networkRevives && s.joined.Equal(time.Now())
	switch {
	case s.flaw.renewsNextToo && s.renewed[id] && len(q) > 0:
		q[0].expires = s.now().Add(q[0].ttl)
	case revives && len(q) == 0:
		s.queues[name] = []*claim{{id: id, ttl: ttl, expires: s.now().Add(ttl), wake: make(chan struct{}, 1)}}
	default:
		return
	}
	s.settle(name)
}

// pass is told of a hold that is released, or undone, and of those who wait. mu
// is held.
func (s *server) pass(gone *claim, waiters []*claim, undo bool) {
	if len(waiters) == 0 {
		return
	}
	next := waiters[0]
	if s.flaw.fifthPasses && len(waiters) > 4 && !next.passed {
		next.passed = true
		waiters[0], waiters[1] = waiters[1], waiters[0]
		next = waiters[0]
	}
	if next.token != 0 {
		return
	}
	if s.flaw.handsTokenOn && next.client == gone.client {
		next.inherits = gone.token
	}
	next.muted = s.flaw.mutesOld && next.again == 1 && len(waiters) == 1 && !undo
}

// wakesTwo reports whether the release of a hold grants the name to two
// waiters. mu is held.
func (s *server) wakesTwo(gone *claim, waiters []*claim) bool {
	held := time.Since(gone.granted)
	quick := held > 0 && held < time.Millisecond
	same := waiters[0].client == waiters[1].client
	return s.flaw.wakesTwo ||
		s.flaw.wakesTwoHanded && gone.waited && held >= time.Millisecond ||
		s.flaw.wakesTwoClients && quick && !same ||
		s.flaw.wakesTwoOfOne && quick && same
}

// resumed is told that the server runs on after a standstill. mu is held.
func (s *server) resumed() {
	s.ran = time.Now()
	if s.flaw.dropsOnResume {
		clear(s.queues)
	}
}

// flushed is told that all data is about to be deleted. mu is held.
func (s *server) flushed() {
	if s.flaw.flushCountsHeld && !s.killed {
		for name := range s.queues {
			s.lowered[name] = 1
		}
	}
	s.skipped += 1000
}

// restartedEmpty is told that the server starts with nothing.
func (s *server) restartedEmpty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = s.flaw.restartCounts
}

// has reports whether a claim is there.
func (s *server) has(name, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(name)
	return s.find(name, id) != nil
}

// holder returns the client that holds a name, or "".
func (s *server) holder(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(name)
	if q := s.queues[name]; len(q) > 0 {
		return q[0].client
	}
	return ""
}

// removeHolder removes the hold of a name, if whose likes the client that has it.
func (s *server) removeHolder(name string, whose func(client string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(name)
	if q := s.queues[name]; len(q) > 0 && whose(q[0].client) {
		s.queues[name] = q[1:]
		s.settle(name)
	}
}

// keep has a claim that was granted already not be undone.
func (s *server) keep(name, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.find(s.flaw.mapName(name), id); c != nil && c.token != 0 {
		s.keeps[id] = true
	}
}

// renewHolder extends the lease of whoever holds a name.
func (s *server) renewHolder(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(name)
	if q := s.queues[name]; len(q) > 0 && !q[0].expires.IsZero() {
		q[0].expires = s.now().Add(q[0].ttl)
	}
}

func leaseOf(client string) string { return "lease of a refused try of " + client }

// forgive removes the leases that the tries of a client left.
func (s *server) forgive(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []string
	for _, line := range s.residue {
		if !strings.HasSuffix(line, leaseOf(client)) {
			left = append(left, line)
		}
	}
	s.residue = left
}
