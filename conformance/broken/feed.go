package broken

import (
	"context"
	"time"

	"github.com/lockerlib/locker/conformance"
)

var (
	_ conformance.ClientKiller = (*rig)(nil)
	_ conformance.Compacter    = (*rig)(nil)
)

// A history is what waiters are told: which claims were granted, in order.
type history struct {
	compacted int64    // up to this revision it is forgotten
	events    []*claim // that came after; nil is something foreign
	feeds     map[*feed]bool
}

func (h *history) revision() int64 { return h.compacted + int64(len(h.events)) }

// A feed tells one client of its claims. While the client is away it falls
// behind, and goes on from where it was. It ends with the connection, and when
// what it would have to tell next is forgotten.
type feed struct {
	link  *link
	of    *server
	seen  int64         // a revision
	ended chan struct{} // closed when the client has been told that it ended
}

// follow has the feed f tell of c from now on. mu is held.
func (s *server) follow(c *claim, f *feed) {
	h := &s.history
	c.feed = f
	if f == nil || f.of != s || f.over() || h.feeds[f] {
		return
	}
	if h.feeds == nil {
		h.feeds = make(map[*feed]bool)
	}
	h.feeds[f] = true
	f.seen = h.revision()
}

// push tells of a grant. mu is held.
func (s *server) push(c *claim) {
	h := &s.history
	h.events = append(h.events, c)
	if h.feeds[c.feed] {
		s.tell(c.feed)
	}
}

// tell brings a feed up to date, if its client can be reached. mu is held.
func (s *server) tell(f *feed) {
	h := &s.history
	if _, err := s.through(f.link.door); err != nil || s.apart != nil || f.link.blocked(conformance.Down) {
		if s.flaw.feedStopsSilently {
			delete(h.feeds, f)
		}
		s.miss(f)
		return
	}
	if f.seen < h.compacted {
		s.hangUp(f)
		return
	}
	for _, c := range h.events[f.seen-h.compacted:] {
		if c != nil && c.feed == f {
			if c.push != nil {
				c.push.Store(c.token)
			}
			select {
			case c.wake <- struct{}{}:
			default:
			}
		}
	}
	f.seen = h.revision()
}

// hangUp ends a feed. mu is held.
func (s *server) hangUp(f *feed) {
	delete(s.history.feeds, f)
	close(f.ended)
}

// catchUp tells whoever can be reached again what came meanwhile.
func (s *server) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellAll()
}

// tellAll brings all feeds up to date. mu is held.
func (s *server) tellAll() {
	for f := range s.history.feeds {
		s.tell(f)
	}
}

// KillClients ends all connections, and with them the feeds. Clients make new
// ones with their next request.
func (r *rig) KillClients(context.Context) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUpAll()
	if s.flaw.holdsAreConnections {
		clear(s.queues)
	}
	return nil
}

// hangUpAll ends all feeds. mu is held.
func (s *server) hangUpAll() {
	for f := range s.history.feeds {
		s.hangUp(f)
	}
}

// Compact forgets the history, to which something foreign is added before.
func (r *rig) Compact(context.Context) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.history
	h.events = append(h.events, nil)
	s.tellAll()
	h.compacted, h.events = h.revision(), nil
	if s.flaw.compactsHolds {
		clear(s.queues)
	}
	return nil
}

func (f *feed) over() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// wait waits for a push, for the end of the feed, for d (if it is not
// negative), or for the end of ctx, which is an error.
func (c *client) wait(ctx context.Context, push <-chan struct{}, f *feed, d time.Duration) error {
	ended := f.ended
	if c.flaw.ignoresEndOfFeed {
		ended = nil
	}
	return waitEither(ctx, push, ended, d)
}

// follow returns the feed of the client, or a new one if that has ended.
func (c *client) follow() *feed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.feed == nil || c.feed.over() && !c.flaw.ignoresEndOfFeed {
		c.feed = &feed{link: c.link, of: c.server, ended: make(chan struct{})}
	}
	return c.feed
}

// unfollow ends the feed with the client.
func (c *client) unfollow() {
	c.mu.Lock()
	f := c.feed
	c.mu.Unlock()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if c.server.history.feeds[f] {
		c.server.hangUp(f)
	}
}

func feeds() []spoiledLock {
	deaf := flaw{onlyPushed: true, waitersLiveForever: true, ignoresEndOfFeed: true}
	return []spoiledLock{
		{"subscribes once", "A waiter whose subscription ended with its connection does not subscribe again.", "S10d", "the waiter gets the name", deaf},
		{"follows a gap", "A waiter that is told that what it missed was compacted waits for the next event.", "S10e", "the waiter gets the name", deaf},
	}
}
