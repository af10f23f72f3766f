package broken

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

var _ locker.Inspector = (*client)(nil)

// Inspect says who holds a name.
func (c *client) Inspect(ctx context.Context, name string) (locker.Status, error) {
	status := locker.Status{Name: name}
	found := false
	if err := c.rpc(ctx, 10*time.Second, scriptInspect, func(s *server) { found = s.inspect(c.prefix+name, &status) }); err != nil {
		return locker.Status{}, errors.Join(locker.ErrUnavailable, err)
	}
	if !found {
		return locker.Status{}, locker.ErrNotHeld
	}
	return status, nil
}

func (s *server) inspect(name string, to *locker.Status) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.flaw.mapName(name)
	s.settle(name)
	q := s.queues[name]
	if len(q) == 0 {
		return false
	}
	to.Holder = locker.Holder{
		Client: q[0].identity, Owner: q[0].owner, Metadata: q[0].metadata, Token: q[0].token,
		Remaining: q[0].expires.Sub(s.now()),
	}
	for _, w := range q[1:] {
		to.Waiters = append(to.Waiters, locker.Waiter{Client: w.identity, Owner: w.owner, Metadata: w.metadata})
	}
	to.WaiterCount = len(to.Waiters)
	if s.flaw.countsHolder {
		to.WaiterCount++
	}
	return true
}

// Break ends the hold of name with this token.
func (c *client) Break(ctx context.Context, name string, token uint64) error {
	found := false
	if err := c.rpc(ctx, 10*time.Second, scriptBreak, func(s *server) { found = s.end(c.prefix+name, token) }); err != nil {
		return errors.Join(locker.ErrUnavailable, err)
	}
	if !found {
		return locker.ErrNotHeld
	}
	return nil
}
