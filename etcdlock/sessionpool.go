package etcdlock

import (
	"context"

	"go.etcd.io/etcd/client/v3/concurrency"
)

// A sessionHold is one lease with a concurrency.Session on it, used by one
// claim at a time: two Mutexes on one session hold together (etcd #11364), and
// an Unlock whose answer was lost deletes the next hold of its session (#22082).
type sessionHold struct {
	lease   *lease
	session *concurrency.Session
	seen    *observer
}

// take returns a session of its own for a claim. Its lease is the idle one of
// that TTL if there is one, and new otherwise. The session renews the lease
// until it is given back; an idle lease is renewed by nobody and runs out.
func (b *sessionBackend) take(ctx context.Context, secs int64) (*sessionHold, error) {
	b.mu.Lock()
	l := b.idle[secs]
	delete(b.idle, secs)
	b.mu.Unlock()

	if l != nil && !b.usable(ctx, l) {
		b.giveUp(l)
		l = nil
	}
	if l == nil {
		var err error
		if l, err = b.leases.grant(ctx, secs); err != nil {
			return nil, err
		}
		b.leases.mu.Lock()
		b.leases.all[l.id] = l
		b.leases.mu.Unlock()
	}
	o := &observer{queued: make(chan struct{})}
	client := o.clientFor(b.ctx, b.client, b.lease)
	s, err := concurrency.NewSession(client, concurrency.WithLease(l.id), concurrency.WithContext(b.ctx))
	if err != nil {
		b.giveUp(l)
		return nil, err
	}
	return &sessionHold{lease: l, session: s, seen: o}, nil
}

// usable reports whether at least half of the lease is left, and renews it if
// need be.
func (b *sessionBackend) usable(ctx context.Context, l *lease) bool {
	b.leases.mu.Lock()
	now := b.clock.SinceBoot()
	valid, fresh := l.valid(now), now-l.sent <= l.ttl/2
	b.leases.mu.Unlock()
	if !valid || fresh {
		return valid
	}
	ttl, err := b.leases.keeper.beat(ctx, l.id)
	return err == nil && ttl > 0
}

// giveBack ends the session and keeps its lease for the next claim of that TTL.
// The server must have nothing of the claim any more.
func (b *sessionBackend) giveBack(h *sessionHold) {
	h.session.Orphan()
	secs := seconds(h.lease.asked)
	b.mu.Lock()
	kept := b.idle[secs] == nil && !b.closing
	if kept {
		b.idle[secs] = h.lease
	}
	b.mu.Unlock()
	if !kept {
		b.giveUp(h.lease)
	}
}

// giveUp revokes a lease in the background.
func (b *sessionBackend) giveUp(l *lease) {
	b.leases.mu.Lock()
	defer b.leases.mu.Unlock()
	b.leases.drop(l)
}

// destroy ends the session and revokes its lease, and with it whatever the
// server has of the claim, or may come to carry out for it.
func (b *sessionBackend) destroy(ctx context.Context, h *sessionHold) error {
	h.session.Orphan()
	b.leases.mu.Lock()
	h.lease.dead, h.lease.retired = true, true
	b.leases.mu.Unlock()
	if _, err := b.client.Revoke(ctx, h.lease.id); err != nil && !isLeaseGone(err) {
		return err
	}
	b.leases.mu.Lock()
	delete(b.leases.all, h.lease.id)
	b.leases.mu.Unlock()
	return nil
}
