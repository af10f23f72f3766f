package memrig

import (
	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

// Reset ends the one connection that a client has.
func (r *rig) Reset(l locker.Locker) (n int, err error) {
	return 1, disturb(l, (*memlock.Client).Reset)
}

func (r *rig) HalfOpen(l locker.Locker) error { return disturb(l, (*memlock.Client).HalfOpen) }

func (r *rig) Swallowed(l locker.Locker) (n int64, err error) {
	err = disturb(l, func(c *memlock.Client) { n = c.Swallowed() })
	return n, err
}

func (r *rig) Stall(l locker.Locker) error { return disturb(l, (*memlock.Client).Stall) }

func (r *rig) Unstall(l locker.Locker) error { return disturb(l, (*memlock.Client).Unstall) }

func (r *rig) Late(l locker.Locker) (n int64, err error) {
	err = disturb(l, func(c *memlock.Client) { n = c.Late() })
	return n, err
}
