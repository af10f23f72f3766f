package memlock

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// Direction says which half of a client's link is meant.
type Direction int

// The halves of a link.
const (
	Up   Direction = 1 << iota // requests, client to server
	Down                       // answers and pushes, server to client
	Both = Up | Down
)

// A link is the connection of one client to the server, and can be told to
// misbehave as a network does. While it is well, a request is a function call
// in the caller's goroutine.
type link struct {
	server   *Server
	identity string

	disturbed atomic.Bool   // false: deliver at once, look at nothing below
	over      atomic.Bool   // the server takes no claim from it any more
	gone      chan struct{} // closed when the client crashes or closes

	mu       sync.Mutex // guards everything below
	up, down half
	lose     int   // how many of the next requests lose their answer
	lost     int64 // how many have
	cause    error // why gone is closed
	conn     connection
	sink     driver.Sink
	outbox   []parcel
	flushing bool // a goroutine is in flush
}

// A half is one direction of a link. cuts counts the cuts: what is on its way
// when one begins is lost.
type half struct {
	cut   bool
	cuts  int
	delay time.Duration
}

var (
	errCrashed = fmt.Errorf("memlock: the client was crashed: %w", locker.ErrClosed)
	errClosed  = fmt.Errorf("memlock: the client is closed: %w", locker.ErrClosed)

	errReset = fmt.Errorf("%w: memlock: the connection was reset while the answer was due (DropReplies)", locker.ErrUnavailable)
)

func unanswered(ctx context.Context) error {
	return fmt.Errorf("%w: memlock: no answer from the server: %w", locker.ErrUnavailable, context.Cause(ctx))
}

// clear reports whether a request may be carried out as a plain call. It counts
// the request. If it is false, the request goes through carry.
func (l *link) clear(ctx context.Context) bool {
	if l.disturbed.Load() || ctx.Err() != nil {
		return false
	}
	l.server.requests.Add(1)
	return true
}

// carry takes one request over a link that is disturbed. apply carries it out on
// the server: at most once, in any goroutine, perhaps after carry has returned.
// It is told how long the request travelled.
//
// nil means that apply has returned. An error that is ErrUnavailable says
// nothing about that.
func (l *link) carry(ctx context.Context, apply func(travelled time.Duration)) error {
	if ctx.Err() != nil {
		return unanswered(ctx) // nothing was sent
	}
	l.mu.Lock()
	if l.cause != nil {
		defer l.mu.Unlock()
		return l.cause
	}
	reset := l.lose > 0
	if reset {
		l.lose--
		l.lost++
		l.settle()
	}
	sent, broken := l.up, l.conn.broken
	l.miss()
	l.mu.Unlock()
	l.server.requests.Add(1)

	answer := make(chan error, 1)
	if !sent.cut {
		after(sent.delay, func() { l.arrive(sent, reset, apply, answer) })
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return unanswered(ctx)
	case <-broken:
		return errBroken
	case <-l.gone:
		return l.ended()
	}
}

// arrive is the server's side of carry.
func (l *link) arrive(sent half, reset bool, apply func(time.Duration), answer chan<- error) {
	l.mu.Lock()
	lost := l.cause != nil || l.up.cuts != sent.cuts || l.conn.dead
	l.mu.Unlock()
	if lost {
		return
	}
	apply(sent.delay)

	l.mu.Lock()
	back := l.down
	l.mu.Unlock()
	if back.cut {
		return
	}
	var result error
	if reset {
		result = errReset
	}
	after(back.delay, func() {
		l.deliver(back, func() { answer <- result })
	})
}

// after runs f in this goroutine if there is nothing to wait for, and never
// blocks.
func after(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	time.AfterFunc(d, f)
}

// settle is called with mu held whenever a fault begins or ends.
func (l *link) settle() {
	l.disturbed.Store(l.cause != nil || l.lose > 0 || l.conn.disturbed() || l.up.disturbed() || l.down.disturbed())
}

func (h half) disturbed() bool { return h.cut || h.delay > 0 }

// halves calls f for the halves that d names, with mu held.
func (l *link) halves(d Direction, f func(*half)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d&Up != 0 {
		f(&l.up)
	}
	if d&Down != 0 {
		f(&l.down)
	}
	l.settle()
}

func (l *link) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// hangUp ends the link for cause, once. What is on its way is lost, except that
// a request may just have arrived; claim and release look at over themselves.
func (l *link) hangUp(cause error) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return false
	}
	l.cause = cause
	l.over.Store(true)
	l.outbox = nil
	l.settle()
	close(l.gone)
	return true
}
