package broken

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

// fading is what only narrow flaws have a client remember. The client's mu
// guards all but after.
type fading struct {
	closing bool
	after   group  // what goes on after Close
	refused string // the name that was refused last
	at      time.Time
	later   map[string]chan struct{} // releases that are not sent yet, by name
}

// remember keeps a refusal.
func (c *client) remember(r locker.Request, try bool, err error) {
	if try && r.Owner == "" && errors.Is(err, locker.ErrHeld) {
		c.mu.Lock()
		c.refused, c.at = r.Name, time.Now()
		c.mu.Unlock()
	}
}

func (c *client) refusedJustNow(r locker.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.Owner == "" && c.refused == r.Name && time.Since(c.at) < time.Millisecond
}

// looksFree asks whether a name is free, and gives the others time to ask too.
func (c *client) looksFree(ctx context.Context, name string) bool {
	free := make(chan bool, 1)
	if c.rpc(ctx, time.Second, scriptInspect, func(s *server) { free <- s.holder(c.prefix+name) == "" }) != nil || !<-free {
		return false
	}
	return wait(ctx, nil, time.Microsecond) == nil
}

// cancelled is told of an Acquire whose context was cancelled, before its claim
// is undone.
func (c *client) cancelled(name string, cl *claim, try bool) {
	if c.flaw.keepsCancelled {
		c.server.keep(c.prefix+name, cl.id)
	}
	if c.flaw.undoesOwn && !try {
		_ = c.rpc(context.Background(), cl.ttl/3, scriptUndo, func(s *server) {
			s.removeHolder(c.prefix+name, func(client string) bool { return client == c.id })
		})
	}
}

// dawdle keeps a cancelled waiter for a while.
func (c *client) dawdle(ctx context.Context, last answer, r locker.Request, cl *claim) {
	if c.flaw.cancelsSlowly && errors.Is(ctx.Err(), context.Canceled) && c.ctx.Err() == nil && last.queued && last.holder.client != c.id {
		c.undo(r.Name, cl)
		_ = wait(c.ctx, nil, r.TTL*3/10)
	}
}

// releaseLater has the server told of a release a moment from now. What
// this client asks about the name until then goes after it.
func (c *client) releaseLater(t *tenure) {
	sent := make(chan struct{})
	c.mu.Lock()
	if c.later == nil {
		c.later = make(map[string]chan struct{})
	}
	c.later[t.name] = sent
	c.mu.Unlock()
	c.work.Go(func() {
		_ = wait(context.Background(), nil, time.Microsecond)
		if c.rpc(context.Background(), t.ttl/3, scriptUndo, func(s *server) { s.undo(c.prefix+t.name, t.claim.id) }) != nil {
			c.undo(t.name, t.claim)
		}
		close(sent)
	})
}

// pending waits for the release of a name that is not sent yet.
func (c *client) pending(ctx context.Context, name string) error {
	c.mu.Lock()
	sent := c.later[name]
	c.mu.Unlock()
	if sent == nil {
		return nil
	}
	return wait(ctx, sent, -1)
}

// fade is the end of Close.
func (c *client) fade() {
	if c.flaw.leaseUntilClose {
		c.server.forgive(c.id)
	}
	if c.flaw.leavesSession {
		c.server.mu.Lock()
		c.server.residue = append(c.server.residue, "session of "+c.id)
		c.server.mu.Unlock()
	}
	if c.flaw.lingers {
		c.after.Go(func() { _ = wait(context.Background(), nil, 2*time.Second) })
	}
	if c.flaw.closesOnce {
		_ = wait(context.Background(), nil, time.Millisecond)
		c.mu.Lock()
		c.closing = false
		c.mu.Unlock()
	}
}

// ask is what the client sends of its claim.
func (c *client) ask(cl *claim, wanted time.Duration, f *feed, sawFree, seen bool) *claim {
	ask := &claim{id: cl.id, client: cl.client, identity: cl.identity, owner: cl.owner, metadata: cl.metadata, ttl: wanted, wake: cl.wake, feed: f, push: cl.push}
	ask.elsewhere, ask.gone, ask.sawFree = c.elsewhere, c.link.dead, sawFree
	ask.watching = seen && c.flaw.watchesHolder
	cl.first = !seen
	return ask
}
