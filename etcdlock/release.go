package etcdlock

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker/driver"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Release implements driver.Backend.
func (b *backend) Release(ctx context.Context, r driver.Release) (bool, error) {
	b.mu.Lock()
	c := b.claims[r.ID]
	uncertain := r.Uncertain
	if c != nil {
		// From here no Claim of this ID leaves any more; see sending.
		c.undone = true
		uncertain = c.inflight > 0 || c.tainted
		if q := b.queues[c.name]; q != nil {
			q.leave(c.id)
		}
		if !c.sent {
			delete(b.claims, c.id)
			b.mu.Unlock()
			return false, nil
		}
	}
	b.mu.Unlock()

	var found bool
	var err error
	if uncertain {
		found, err = b.undo(ctx, r.Ref, c)
	} else {
		found, err = b.remove(ctx, r.Ref)
	}
	if err != nil {
		return false, explain(b.client, err)
	}
	if c != nil {
		b.mu.Lock()
		b.forget(c)
		b.mu.Unlock()
	}
	return found, nil
}

// remove deletes a claim that is known to be there or gone, and only that
// tenure of it.
func (b *backend) remove(ctx context.Context, r driver.Ref) (bool, error) {
	key := b.keys.claim(r.Name, r.ID)
	if r.Tenure == 0 {
		resp, err := b.client.Delete(ctx, key)
		if err != nil {
			return false, err
		}
		return resp.Deleted > 0, nil
	}
	resp, err := b.combiner.do(ctx, &part{
		name: r.Name,
		cmps: []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", int64(r.Tenure))},
		then: []clientv3.Op{clientv3.OpDelete(key)},
	})
	if err != nil {
		return false, err
	}
	return resp.Succeeded, nil
}

// undo deletes a claim that the server may only come to carry out, and leaves a
// key that keeps it from being carried out later. The key has the lease that
// the claim would have: once the lease is gone, the claim cannot be made either.
func (b *backend) undo(ctx context.Context, r driver.Ref, c *claim) (bool, error) {
	l, err := b.undoLease(ctx, r, c)
	if err != nil {
		return false, err
	}
	since := b.clock.SinceBoot()
	b.leases.mu.Lock()
	if l.undos == nil {
		l.undos = make(map[string]time.Duration)
	}
	if _, again := l.undos[r.ID]; !again {
		l.undos[r.ID] = since // stays until an attempt is answered; see stuck
	}
	b.leases.mu.Unlock()

	key := b.keys.claim(r.Name, r.ID)
	resp, err := b.client.Txn(ctx).
		Then(clientv3.OpDelete(key), clientv3.OpPut(b.keys.undo(r.ID), "", clientv3.WithLease(l.id))).
		Commit()
	var found bool
	wrote := err == nil
	switch {
	case err == nil:
		found = resp.Responses[0].GetResponseDeleteRange().Deleted > 0
	case errors.Is(err, rpctypes.ErrLeaseNotFound), errors.Is(err, rpctypes.ErrNoSpace):
		// Without the lease the claim cannot be made. With the quota exhausted
		// the server refuses to write the undo key, and as long as it does, it
		// refuses a late claim too; deletes work.
		if found, err = b.remove(ctx, driver.Ref{ID: r.ID, Name: r.Name}); err != nil {
			return false, err
		}
	default:
		return false, err
	}
	b.leases.mu.Lock()
	delete(l.undos, r.ID)
	if wrote {
		l.undone++
	}
	b.leases.mu.Unlock()
	return found, nil
}

// undoLease returns the lease that the claim was sent with, or for a claim that
// this client does not know, the one of its TTL.
func (b *backend) undoLease(ctx context.Context, r driver.Ref, c *claim) (*lease, error) {
	if c != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return c.lease, nil
	}
	ttl := r.TTL
	if ttl <= 0 {
		ttl = time.Second
	}
	l, err := b.leases.get(ctx, ttl)
	if err != nil {
		return nil, err
	}
	b.leases.done(l)
	return l, nil
}
