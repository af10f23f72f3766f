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
	s := locker.Status{Name: name}
	found := false
	if err := c.rpc(ctx, 10*time.Second, func() { found = c.server.inspect(c.prefix+name, &s) }); err != nil {
		return locker.Status{}, errors.Join(locker.ErrUnavailable, err)
	}
	if !found {
		return locker.Status{}, locker.ErrNotHeld
	}
	return s, nil
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
		Remaining: time.Until(q[0].expires),
	}
	for _, w := range q[1:] {
		to.Waiters = append(to.Waiters, locker.Waiter{Client: w.identity, Owner: w.owner, Metadata: w.metadata})
	}
	to.WaiterCount = len(to.Waiters)
	return true
}
