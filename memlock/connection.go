package memlock

import (
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

// A connection is what one link runs over. Its faults lose what is on its way
// as a cut does, by raising the number of cuts of both halves. Guarded by
// link.mu.
type connection struct {
	broken  chan struct{} // closed when it ends: nobody waits for it any more
	dead    bool          // half open: swallows everything
	noticed bool          // a request has met the silence
	stalled bool          // the client does not read
	unread  []func()      // what has arrived meanwhile, in order
	late    int64         // how much was read late so far
	missed  int64         // how much a dead connection has swallowed so far
}

// silence is how long a client waits for an answer before it gives up a
// connection that is half open.
const silence = 20 * time.Millisecond

var errBroken = fmt.Errorf("%w: memlock: the connection ended before the answer (Reset, HalfOpen)", locker.ErrUnavailable)

func (c *connection) disturbed() bool { return c.dead || c.stalled || len(c.unread) > 0 }

// Reset ends the client's connection at both ends: requests that are under way
// fail with an ErrUnavailable, and may be carried out or not; pushes that are on
// their way are lost. The client is connected again at once, and asks about
// every claim that it has.
func (c *Client) Reset() { c.link.reconnect() }

// HalfOpen has the client's connection go dead without a sign, as a firewall
// does that forgets it: what is on its way, and what either side sends, is lost.
// The first request after that which meets 20 ms of silence makes the client
// connect anew, as Reset does. Heal does not end it.
func (c *Client) HalfOpen() {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil || l.conn.dead {
		return
	}
	l.conn.dead, l.conn.noticed = true, false
	l.conn.unread = nil
	l.up.cuts++
	l.down.cuts++
	l.settle()
}

// Swallowed returns how many requests and pushes were lost on connections that
// were half open: a test that lost none has shown nothing.
func (c *Client) Swallowed() int64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.conn.missed
}

// Stall has the client read nothing until Heal or Unstall, as a process does
// that is stopped or busy: answers and pushes wait, requests still arrive.
func (c *Client) Stall() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.conn.stalled = true
	c.link.settle()
}

// Unstall ends Stall. What has arrived is read now, in order.
func (c *Client) Unstall() { c.link.readOn() }

// Late returns how many answers and pushes were read late because of Stall.
func (c *Client) Late() int64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.conn.late
}

// miss is called with mu held for each request: on a dead connection, the first
// one finds out.
func (l *link) miss() {
	if !l.conn.dead {
		return
	}
	l.conn.missed++
	if l.conn.noticed {
		return
	}
	l.conn.noticed = true
	time.AfterFunc(silence, l.reconnect)
}

func (l *link) reconnect() {
	l.mu.Lock()
	if l.cause != nil {
		l.mu.Unlock()
		return
	}
	close(l.conn.broken)
	l.conn.broken = make(chan struct{})
	l.conn.dead, l.conn.unread = false, nil
	l.up.cuts++
	l.down.cuts++
	l.settle()
	sink := l.sink
	l.mu.Unlock()
	if sink == nil {
		return
	}
	// What was pushed on the old connection is lost.
	for _, id := range l.server.claimsOf(l) {
		sink.Ask(id)
	}
}

// deliver has the client read what set out when the down half was as back says:
// now, or when it reads on.
func (l *link) deliver(back half, read func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.down.cuts != back.cuts:
	case l.conn.stalled:
		l.conn.unread = append(l.conn.unread, read)
	default:
		read()
	}
}

// readOn delivers what waits. Answers go into channels with room, so reading
// under mu blocks nobody; pushes stand in the outbox.
func (l *link) readOn() {
	l.mu.Lock()
	if l.conn.stalled {
		l.conn.late += int64(len(l.conn.unread) + len(l.outbox))
	}
	unread := l.conn.unread
	l.conn.stalled, l.conn.unread = false, nil
	for _, read := range unread {
		read()
	}
	l.settle()
	l.mu.Unlock()
	l.flush()
}
