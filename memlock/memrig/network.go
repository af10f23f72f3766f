package memrig

import (
	"context"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/memlock"
)

var _ conformance.Disconnecter = (*rig)(nil)

// DisconnectServer cuts the links of all clients, those included that are opened
// meanwhile: they are all the network that there is.
func (r *rig) DisconnectServer(context.Context) error {
	r.all(true, func(c *memlock.Client) { c.Cut(memlock.Both) })
	return nil
}

// ReconnectServer heals them.
func (r *rig) ReconnectServer(context.Context) error {
	r.all(false, (*memlock.Client).Heal)
	return nil
}

// all holds mu, so that no client is opened in between.
func (r *rig) all(away bool, f func(*memlock.Client)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
	for _, c := range r.clients {
		f(c)
	}
}
