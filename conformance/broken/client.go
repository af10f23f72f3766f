package broken

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
)

var errGaveUp = errors.New("broken: gave up")

// A client is one Locker.
type client struct {
	server *server
	flaw   *flaw
	link   *link
	id     string
	cfg    locker.Config
	slept  atomic.Int64 // how long the machine was suspended
	prefix string       // of every name

	stepped atomic.Int64 // by how much the wall clock was stepped
	born    time.Time
	shared  *server // a client of the caller's, if it was given one

	elsewhere bool // in another process
	fading         // what only flawed code remembers

	ctx  context.Context // ends with Close
	stop context.CancelCauseFunc
	work group
	next atomic.Int64

	mu     sync.Mutex // guards all below
	closed bool
	holds  map[string]*tenure // live holds by name and owner
	seats  map[string]chan struct{}
	depths map[string]int // of holds that are over, which only flawed code keeps
	feed   *feed
}

var clients atomic.Int64

func (s *server) open(opts ...locker.OpenOption) (*client, error) {
	cfg, err := s.resolve(opts)
	if err != nil {
		return nil, err
	}
	c := &client{
		server: s, flaw: s.flaw, link: newLink(), cfg: cfg, born: time.Now(),
		id:    fmt.Sprintf("client-%06d", clients.Add(1)),
		holds: make(map[string]*tenure), seats: make(map[string]chan struct{}), depths: make(map[string]int),
	}
	c.link.conn.kept = s.flaw.keepsConnection
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	s.load(scripts...)
	return c, nil
}

// sinceBoot counts the time during which the machine was suspended.
func (c *client) sinceBoot() time.Duration {
	d := time.Since(c.born)
	if !c.flaw.monotonicOnly {
		d += time.Duration(c.slept.Load())
	}
	if c.flaw.wallClock {
		d += time.Duration(c.stepped.Load())
	}
	return d
}

func (c *client) TryAcquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return c.acquire(ctx, name, opts, true)
}

func (c *client) Acquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return c.acquire(ctx, name, opts, false)
}

func (c *client) acquire(ctx context.Context, name string, opts []locker.Option, try bool) (locker.Lock, error) {
	r, err := c.cfg.Resolve(ctx, name, opts)
	if err != nil && c.flaw.lenient != nil {
		if lenient, ok := c.flaw.lenient(name); ok {
			r, err = lenient, nil
			if ctx == nil {
				ctx = context.Background()
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if c.flaw.cleans != nil {
		r.Owner, r.Metadata = c.flaw.cleans(r.Owner), c.flaw.cleans(r.Metadata)
	}
	if c.ctx.Err() != nil {
		return nil, locker.ErrClosed
	}
	if try && ctx.Err() != nil && c.flaw.tryUnderDead {
		ctx = context.WithoutCancel(ctx)
	}
	if ctx.Err() != nil && !c.flaw.acquiresUnderDead {
		if c.flaw.failedCounts && r.Owner != "" {
			c.mu.Lock()
			if t := c.holds[key(r)]; t != nil {
				t.mu.Lock()
				t.count++
				t.mu.Unlock()
			}
			c.mu.Unlock()
		}
		return nil, c.ended(ctx)
	}
	if c.flaw.acquiresUnderDead {
		ctx = context.WithoutCancel(ctx)
	}
	if l := c.reenter(r); l != nil {
		return l, nil
	}
	if try && c.flaw.refusalsLast && c.refusedJustNow(r) {
		return nil, &locker.HeldError{Name: r.Name}
	}
	lock, err := c.compete(ctx, r, try)
	if err != nil {
		c.remember(r, try, err)
		return nil, err
	}
	return lock, nil
}

func key(r locker.Request) string { return r.Name + "\x00" + r.Owner }

// ended is the error of a call whose context, or Locker, has ended.
func (c *client) ended(ctx context.Context) error {
	switch {
	case c.ctx.Err() != nil:
		return locker.ErrClosed
	case c.flaw.hidesContext:
		return errGaveUp
	case c.flaw.heldForTimeout && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &locker.HeldError{}
	case c.flaw.hidesCause && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	}
	return errors.Join(ctx.Err(), context.Cause(ctx))
}

// compete gets the name from the server.
func (c *client) compete(caller context.Context, r locker.Request, try bool) (locker.Lock, error) {
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	if c.flaw.ignoresCancel {
		ctx, cancel = context.WithCancelCause(context.WithoutCancel(caller))
		defer cancel(nil)
	}
	if !c.flaw.closeLeavesWaits {
		defer context.AfterFunc(c.ctx, func() { cancel(locker.ErrClosed) })()
	}
	if c.flaw.localMutex && !try {
		c.seat(r.Name) <- struct{}{}
	}
	n := c.next.Add(1)
	if try && c.flaw.tryFails > 0 && n%int64(c.flaw.tryFails) == 0 {
		return nil, &locker.HeldError{Name: r.Name}
	}
	cl := &claim{
		id: fmt.Sprintf("%s-%d", c.id, n), client: c.id, identity: c.cfg.Identity,
		owner: r.Owner, metadata: r.Metadata, ttl: r.TTL, wake: make(chan struct{}, 1), push: new(atomic.Uint64),
	}
	if c.flaw.sharesByClient {
		cl.id = c.id
	}
	cl.tried = try
	lock, err := c.await(ctx, caller, cl, r, try)
	if err != nil && errors.Is(caller.Err(), context.Canceled) && c.ctx.Err() == nil {
		c.cancelled(r.Name, cl, try)
	}
	if err != nil && !c.flaw.ghost && (cl.confirmed || !c.flaw.undoesConfirmed) {
		c.undo(r.Name, cl)
	}
	if err != nil && c.flaw.ghost {
		c.work.Go(func() { c.haunt(r.Name, cl) })
	}
	return lock, err
}

// await asks until the claim holds, or cannot.
func (c *client) await(ctx, caller context.Context, cl *claim, r locker.Request, try bool) (locker.Lock, error) {
	began, wanted := time.Now(), r.TTL
	seen := false
	var last answer
	for {
		if c.flaw.freshIDs && !seen {
			cl = &claim{id: fmt.Sprintf("%s-%d", c.id, c.next.Add(1)), client: c.id, identity: c.cfg.Identity, owner: r.Owner, metadata: r.Metadata, ttl: r.TTL, wake: cl.wake, push: cl.push}
		}
		if err := c.pending(ctx, r.Name); err != nil {
			return nil, c.ended(ctx)
		}
		sawFree := try && c.flaw.tryLooksFirst && c.looksFree(ctx, r.Name)
		sent := c.sinceBoot()
		var a answer
		// The server may carry it out when we have long gone on.
		feed := c.follow()
		ask := c.ask(cl, wanted, feed, sawFree, seen)
		mayCreate := !seen || !c.flaw.stuckWhenGone
		patience := c.patience(r.TTL)
		if !seen && c.flaw.firstPatience > 0 {
			patience = r.TTL * time.Duration(c.flaw.firstPatience) / 10
		}
		err := c.rpc(ctx, patience, scriptClaim, func(s *server) {
			ask.blind = c.flaw.readsLocally && s.seemsFree(c.link.door, c.prefix+r.Name)
			a = s.claim(c.prefix+r.Name, ask, try && !c.flaw.tryWaits, mayCreate)
		})
		if ctx.Err() != nil {
			c.dawdle(ctx, last, r, cl)
			return nil, c.ended(ctx)
		}
		if err != nil && try && c.flaw.tryAsksAnew {
			cl.id = fmt.Sprintf("%s-%d", c.id, c.next.Add(1))
		}
		if err == nil {
			seen, last, cl.confirmed = true, a, true
			switch {
			case a.outside:
				_ = wait(ctx, nil, -1)
				return nil, c.ended(ctx)
			case a.held:
				lock, err := c.grant(caller, cl, r, a, sent)
				if lock != nil || err != nil {
					return lock, err
				}
				continue
			case a.refused && c.flaw.tryNeither:
				return nil, nil
			case a.refused && c.flaw.namelessRefusal:
				return nil, held("", a)
			case a.refused, a.noRoom && c.flaw.fullIsHeld:
				return nil, held(r.Name, a)
			case a.noRoom:
				return nil, fmt.Errorf("%w: %w", locker.ErrUnavailable, errNoRoom)
			}
		}
		if r.HasMaxWait && !c.flaw.ignoresPatience && err == nil && time.Since(began) >= r.MaxWait {
			return nil, held(r.Name, last)
		}
		if err := c.wait(ctx, cl.wake, feed, c.pause(r, began, err)); err != nil {
			c.dawdle(ctx, last, r, cl)
			return nil, c.ended(ctx)
		}
		woken := c.sinceBoot()
		if c.link.reads(ctx, time.Time{}) != nil {
			c.dawdle(ctx, last, r, cl)
			return nil, c.ended(ctx)
		}
		unread := c.sinceBoot() > woken
		if token := cl.push.Swap(0); token != 0 && (c.flaw.believesPush || c.flaw.believesUnread && unread) {
			return c.grant(caller, cl, r, answer{held: true, token: token, ttl: wanted}, c.sinceBoot())
		}
	}
}

func held(name string, a answer) error {
	return &locker.HeldError{Name: name, Waiters: a.waiters, Holder: locker.Holder{
		Client: a.holder.identity, Owner: a.holder.owner, Metadata: a.holder.metadata, Token: a.holder.token,
	}}
}

// pause is how long a waiter waits for the push before it asks again, which
// also renews its place.
func (c *client) pause(r locker.Request, began time.Time, failed error) time.Duration {
	switch {
	case c.flaw.polls:
		return r.TTL / 100
	case c.flaw.onlyPushed:
		return -1
	case failed != nil:
		return time.Millisecond
	}
	d := r.TTL / 3
	if c.flaw.mutesOld && time.Since(began) >= d {
		d = r.TTL * 6 / 10
	}
	if c.flaw.patienceAtPoll && r.HasMaxWait {
		return r.TTL * 8 / 10
	}
	if r.HasMaxWait && !c.flaw.ignoresPatience {
		d = min(d, max(0, r.MaxWait-time.Since(began)))
	}
	return d
}

// patience is how long a claim may go unanswered. A right one gives up before
// its lease could run out on the way.
func (c *client) patience(ttl time.Duration) time.Duration {
	if c.flaw.noCheckAfterWait || c.flaw.tokenAfterGrant {
		return time.Minute
	}
	return max(ttl/3, time.Millisecond)
}

// undo removes a claim until that is answered or its lease has run out.
func (c *client) undo(name string, cl *claim) {
	c.work.Go(func() {
		until := time.Now().Add(cl.ttl)
		for time.Now().Before(until) {
			err := c.rpc(context.Background(), cl.ttl/3+1, scriptUndo, func(s *server) { s.undo(c.prefix+name, cl.id) })
			if err == nil || c.link.dead() {
				return
			}
			_ = wait(context.Background(), nil, cl.ttl/20) // an error may come at once
		}
	})
}

func (l *link) dead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crashed
}

// haunt keeps a claim alive that nobody waits for.
func (c *client) haunt(name string, cl *claim) {
	for wait(c.ctx, nil, cl.ttl/3) == nil {
		_ = c.rpc(c.ctx, cl.ttl/3, scriptRenew, func(s *server) { s.renew(c.prefix+name, cl.id, cl.ttl) })
	}
}

func (c *client) seat(name string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seats[name] == nil {
		c.seats[name] = make(chan struct{}, 1)
	}
	return c.seats[name]
}
