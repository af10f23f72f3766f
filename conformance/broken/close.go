package broken

import (
	"context"
	"time"

	"github.com/lockerlib/locker"
)

// Close ends every hold, wakes every waiter, and waits for what still runs.
func (c *client) Close() error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return locker.ErrClosed
	}
	if c.closed {
		c.mu.Unlock()
		if c.flaw.closeTwicePanics {
			panic("close of closed client")
		}
		// An Acquire that was under way may have left something to undo.
		_ = wait(context.Background(), c.work.quiet(), 5*time.Second)
		return nil
	}
	c.closed, c.closing = true, c.flaw.closesOnce
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
			t.given.Store(true) // a release that is under way may find it gone
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
	c.unfollow()
	c.fade()
	return nil
}
