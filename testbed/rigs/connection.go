package rigs

import (
	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/proxy"
)

var (
	_ conformance.Resetter   = (*rig)(nil)
	_ conformance.HalfOpener = (*rig)(nil)
	_ conformance.Staller    = (*rig)(nil)
)

// Reset is that of the client's proxy, as is all below.
func (r *rig) Reset(l locker.Locker) (n int, err error) {
	err = r.disturb(l, func(p *proxy.Proxy) { n += p.Reset() })
	return n, err
}

// HalfOpen has the connections of a client go dead without a sign.
func (r *rig) HalfOpen(l locker.Locker) error {
	return r.disturb(l, func(p *proxy.Proxy) { p.HalfOpen() })
}

// Swallowed counts the bytes that dead connections, and cuts, have swallowed.
func (r *rig) Swallowed(l locker.Locker) (n int64, err error) {
	err = r.disturb(l, func(p *proxy.Proxy) { n += p.Stats().Dropped })
	return n, err
}

// Stall has a client read nothing.
func (r *rig) Stall(l locker.Locker) error { return r.disturb(l, (*proxy.Proxy).Stall) }

// Unstall has it read on.
func (r *rig) Unstall(l locker.Locker) error { return r.disturb(l, (*proxy.Proxy).Unstall) }

// Late counts the bytes that Stall has delayed.
func (r *rig) Late(l locker.Locker) (n int64, err error) {
	err = r.disturb(l, func(p *proxy.Proxy) { n += p.Stats().Late })
	return n, err
}
