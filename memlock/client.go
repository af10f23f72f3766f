package memlock

import (
	"context"
	"slices"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// A Client is a Locker on a Server. Beyond that it can disturb its own link to
// the server, and crash, so that a test sees what its program does then. Get it
// out of a Locker that was wrapped with locker.As[*memlock.Client].
//
// Faults begin and end at once, may be combined, and concern this client only:
// its Locker, and stores that send their requests by Send.
type Client struct {
	*driver.Locker
	server *Server
	link   *link
}

var _ locker.Locker = (*Client)(nil)

// Server returns the server that this client is connected to.
func (c *Client) Server() *Server { return c.server }

// Cut drops everything in that direction until Heal, as a network does that
// loses packets: connections stay open, nobody is told, and who waits for an
// answer waits until its context ends. What is on its way is lost too.
func (c *Client) Cut(d Direction) {
	c.link.halves(d, func(h *half) {
		h.cut = true
		h.cuts++
	})
}

// Delay lets everything that sets out in that direction arrive d later, until
// Heal or until it is set to 0. Pushes keep their order. Requests that are
// under way at once have none, as if each had a connection of its own: one that
// is sent after the delay has ended overtakes those that were sent before.
func (c *Client) Delay(dir Direction, d time.Duration) {
	c.link.halves(dir, func(h *half) { h.delay = max(0, d) })
}

// Heal ends Cut, Delay and Stall. What was cut off does not arrive any more;
// what was delayed still arrives when it is due.
func (c *Client) Heal() {
	c.link.halves(Both, func(h *half) { h.cut, h.delay = false, 0 })
	c.link.readOn()
}

// DropReplies lets the server carry out the next n requests, and loses their
// answers: the caller gets an ErrUnavailable as soon as the answer is due, as if
// the connection had been reset just then. (To lose answers without a sign of
// it, use Cut with Down.) Pushes still arrive. 0 ends it; Heal does not.
func (c *Client) DropReplies(n int) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.lose = max(0, n)
	c.link.settle()
}

// Lost returns how many answers DropReplies has lost so far, or is about to: a
// test that lost none has shown nothing.
func (c *Client) Lost() int64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.lost
}

// Crash ends the client as if its process had died: it sends nothing any more
// and hears nothing, its calls that wait fail, and later ones do, with an error
// that is ErrClosed. The server is not told, and drops what the client had when
// the leases end. Locks of the client, which a real crash would take away, end
// as lost by their deadlines. Close is still needed, and sends nothing.
func (c *Client) Crash() {
	ids := c.server.claimsOf(c.link)
	if !c.link.hangUp(errCrashed) {
		return
	}
	c.server.disconnect(c.link)
	// A waiter may have no request under way. Made to ask, it gets the error.
	for _, id := range ids {
		c.link.sink.Ask(id)
	}
}

// Send carries out apply as one request of this client, subject to its faults:
// it is the link for stores of the same server. nil means that apply was called
// and has returned. An ErrUnavailable says nothing about that: apply may have
// been called, may be called later in another goroutine, or never. It is called
// at most once, and must be quick; most call Server.Atomically.
func (c *Client) Send(ctx context.Context, apply func()) error {
	if c.link.clear(ctx) {
		apply()
		return nil
	}
	return c.link.carry(ctx, func(time.Duration) { apply() })
}

// claimsOf lists the claims of one client, sorted by ID.
func (s *Server) claimsOf(l *link) (ids []string) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		for _, q := range sh.queues {
			for c := q.holder; c != nil; c = q.after(c) {
				if c.link == l {
					ids = append(ids, c.ID)
				}
			}
		}
		sh.unlock()
	}
	slices.Sort(ids)
	return ids
}
