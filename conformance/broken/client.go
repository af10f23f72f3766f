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

	ctx  context.Context // ends with Close
	stop context.CancelCauseFunc
	work group
	next atomic.Int64

	mu     sync.Mutex // guards all below
	closed bool
	holds  map[string]*tenure // live holds by name and owner
	seats  map[string]chan struct{}
	depths map[string]int // of holds that are over, which only flawed code keeps
}

var clients atomic.Int64

func (s *server) open(opts ...locker.OpenOption) (*client, error) {
	cfg, err := locker.ResolveOpen(opts...)
	if err != nil {
		return nil, err
	}
	c := &client{
		server: s, flaw: s.flaw, link: newLink(), cfg: cfg, born: time.Now(),
		id:    fmt.Sprintf("client-%06d", clients.Add(1)),
		holds: make(map[string]*tenure), seats: make(map[string]chan struct{}), depths: make(map[string]int),
	}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
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
	lock, err := c.compete(ctx, r, try)
	if err != nil {
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
		owner: r.Owner, metadata: r.Metadata, ttl: r.TTL, wake: make(chan struct{}, 1),
	}
	if c.flaw.sharesByClient {
		cl.id = c.id
	}
	lock, err := c.await(ctx, caller, cl, r, try)
	if err != nil && !c.flaw.ghost {
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
			cl = &claim{id: fmt.Sprintf("%s-%d", c.id, c.next.Add(1)), client: c.id, identity: c.cfg.Identity, owner: r.Owner, metadata: r.Metadata, ttl: r.TTL, wake: cl.wake}
		}
		sent := c.sinceBoot()
		var a answer
		// The server may carry it out when we have long gone on.
		ask := &claim{id: cl.id, client: cl.client, identity: cl.identity, owner: cl.owner, metadata: cl.metadata, ttl: wanted, wake: cl.wake}
		mayCreate := !seen || !c.flaw.stuckWhenGone
		err := c.rpc(ctx, c.patience(r.TTL), func() {
			a = c.server.claim(c.prefix+r.Name, ask, try && !c.flaw.tryWaits, mayCreate)
		})
		if ctx.Err() != nil {
			return nil, c.ended(ctx)
		}
		if err == nil {
			seen, last = true, a
			switch {
			case a.held:
				lock, err := c.grant(caller, cl, r, a, sent)
				if lock != nil || err != nil {
					return lock, err
				}
				continue
			case a.refused && c.flaw.tryNeither:
				return nil, nil
			case a.refused:
				return nil, held(r.Name, a)
			}
		}
		if r.HasMaxWait && !c.flaw.ignoresPatience && err == nil && time.Since(began) >= r.MaxWait {
			return nil, held(r.Name, last)
		}
		if err := wait(ctx, cl.wake, c.pause(r, began, err)); err != nil {
			return nil, c.ended(ctx)
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
	if r.HasMaxWait && !c.flaw.ignoresPatience {
		d = min(d, max(0, r.MaxWait-time.Since(began)))
	}
	return d
}

// rpc is one request with a bound of its own, so that it is tried again.
func (c *client) rpc(ctx context.Context, limit time.Duration, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.link.call(ctx, c.server, f)
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
			ctx, cancel := context.WithTimeout(context.Background(), cl.ttl/3+1)
			err := c.link.call(ctx, c.server, func() { c.server.undo(c.prefix+name, cl.id) })
			cancel()
			if err == nil || c.link.dead() {
				return
			}
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
		_ = c.rpc(c.ctx, cl.ttl/3, func() { c.server.renew(c.prefix+name, cl.id, cl.ttl) })
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

// Close ends every hold, wakes every waiter, and waits for what still runs.
func (c *client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		if c.flaw.closeTwicePanics {
			panic("close of closed client")
		}
		// An Acquire that was under way may have left something to undo.
		_ = wait(context.Background(), c.work.quiet(), 5*time.Second)
		return nil
	}
	c.closed = true
	var live []*tenure
	for _, t := range c.holds {
		live = append(live, t)
	}
	c.mu.Unlock()
	c.stop(locker.ErrClosed)
	for _, t := range live {
		if c.flaw.closeIsRelease {
			t.finish(locker.ErrReleased)
		} else {
			t.lose(locker.LostClosed, locker.ErrClosed)
		}
	}
	if !c.flaw.closeKeeps {
		for _, t := range live {
			c.undo(t.name, t.claim)
		}
	}
	if c.flaw.closesShared && c.shared != nil {
		c.shared.mu.Lock()
		c.shared.closed = true
		c.shared.mu.Unlock()
	}
	if c.flaw.sweepsPrefix {
		c.server.mu.Lock()
		c.server.foreign = nil
		c.server.mu.Unlock()
	}
	if c.flaw.leaksGoroutine {
		go func() { select {} }()
	}
	_ = wait(context.Background(), c.work.quiet(), 5*time.Second)
	return nil
}

// Break ends the hold of name with this token.
func (c *client) Break(ctx context.Context, name string, token uint64) error {
	found := false
	if err := c.rpc(ctx, 10*time.Second, func() { found = c.server.end(c.prefix+name, token) }); err != nil {
		return errors.Join(locker.ErrUnavailable, err)
	}
	if !found {
		return locker.ErrNotHeld
	}
	return nil
}
