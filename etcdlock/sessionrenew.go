package etcdlock

import (
	"context"
	"fmt"
	"sync"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Renew implements driver.Backend. Each claim has a lease of its own, so each
// costs a keepalive, all over one stream; the sessions' own keepalives do not
// tell when they were sent. The keys are read to find those that were deleted
// behind our back, which a Mutex never notices.
func (b *sessionBackend) Renew(ctx context.Context, refs []driver.Ref) ([]driver.Answer, error) {
	answers := make([]driver.Answer, len(refs))
	errs := make([]error, len(refs))
	claims := make([]*sessionClaim, len(refs))
	b.mu.Lock()
	for i, r := range refs {
		c := b.claims[r.ID]
		if c == nil || c.leaving || c.hold == nil {
			answers[i] = driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}
			continue
		}
		claims[i] = c
	}
	b.mu.Unlock()

	var gone map[int]bool
	var wg sync.WaitGroup
	wg.Go(func() { gone = b.missing(ctx, refs, claims) })
	for i, c := range claims {
		if c == nil {
			continue
		}
		wg.Go(func() {
			ttl, err := b.leases.keeper.beat(ctx, c.hold.lease.id)
			switch {
			case err != nil:
				errs[i] = err
			case ttl <= 0:
				answers[i] = driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}
			case refs[i].Tenure != 0:
				answers[i] = driver.Answer{State: driver.Held, Tenure: refs[i].Tenure}
			default:
				answers[i] = b.standing(c)
			}
		})
	}
	wg.Wait()

	var failed error
	answered := false
	for i, c := range claims {
		if c == nil {
			continue
		}
		if errs[i] != nil {
			failed = errs[i] // its answer stays Unknown
			continue
		}
		answered = true
		if gone[i] {
			answers[i] = driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}
		}
		if answers[i].State == driver.Gone {
			b.forgotten(c)
		}
	}
	if failed != nil && !answered {
		return nil, explain(b.client, failed)
	}
	return answers, nil
}

// standing tells whether a waiting claim was granted meanwhile.
func (b *sessionBackend) standing(c *sessionClaim) driver.Answer {
	select {
	case <-c.done:
		if c.err == nil {
			return driver.Answer{State: driver.Held, Tenure: c.tenure}
		}
	default:
	}
	return driver.Answer{State: driver.Queued}
}

// forgotten gives up the session of a claim that the caller is told is gone. One
// that is being released is gone for that reason, and its session is not ours
// to give up: Release keeps the lease for the next claim.
func (b *sessionBackend) forgotten(c *sessionClaim) {
	if b.dropUnlessLeaving(c) {
		b.end(c)
	}
}

// missing finds the holds whose keys are not on the server any more.
func (b *sessionBackend) missing(ctx context.Context, refs []driver.Ref, claims []*sessionClaim) map[int]bool {
	var held []int
	for i, r := range refs {
		if claims[i] != nil && r.Tenure != 0 {
			held = append(held, i)
		}
	}
	gone := make(map[int]bool)
	for len(held) > 0 {
		part := held[:min(len(held), maxOps)]
		held = held[len(part):]
		ops := make([]clientv3.Op, len(part))
		for n, i := range part {
			ops[n] = clientv3.OpGet(b.key(claims[i]), clientv3.WithKeysOnly())
		}
		resp, err := b.client.Txn(ctx).Then(ops...).Commit()
		if err != nil {
			return gone // the next tick looks again
		}
		for n, i := range part {
			kvs := resp.Responses[n].GetResponseRange().Kvs
			gone[i] = len(kvs) == 0 || uint64(kvs[0].CreateRevision) != refs[i].Tenure
		}
	}
	return gone
}

// Release implements driver.Backend. Where a request of the Mutex was not
// answered, the lease is revoked: that takes its key away, and a request that
// the server carries out later finds no lease.
func (b *sessionBackend) Release(ctx context.Context, r driver.Release) (bool, error) {
	b.mu.Lock()
	c := b.claims[r.ID]
	if c == nil {
		b.mu.Unlock()
		return false, nil // whatever this client sent was undone when it was dropped
	}
	if c.hold == nil {
		delete(b.claims, c.id) // nothing was sent, and nothing will be; see begin
		b.mu.Unlock()
		return false, nil
	}
	again := c.leaving
	c.leaving = true
	h, done, stop := c.hold, c.done, c.stop
	b.mu.Unlock()

	stop()
	select {
	case <-done:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	held := c.err == nil
	if held && !again {
		// An error leaves the answer open, and the lease is revoked below.
		_ = c.mutex.Unlock(ctx)
	}
	clean, found := h.seen.clean()
	if clean {
		b.drop(c)
		b.giveBack(h)
		return found, nil
	}
	if err := b.destroy(ctx, h); err != nil {
		return false, explain(b.client, fmt.Errorf("revoking the session: %w", err))
	}
	b.drop(c)
	return held || found, nil
}
