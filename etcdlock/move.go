package etcdlock

import (
	"context"
	"errors"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// moveAll renews claims by binding them to a new lease. Their old one must not
// be renewed: an undo under it is unanswered, or many undo keys gathered there.
//
// A put keeps the create revision, so holds stay what they are. It is guarded
// by the revision at which the key was last seen: one that the server carries
// out late finds another revision, and cannot bind a claim that has moved on to
// a lease that nobody renews any more.
func (b *backend) moveAll(ctx context.Context, old *lease, claims []*claim) ([]driver.Answer, error) {
	b.leases.mu.Lock()
	old.retired = true
	b.leases.mu.Unlock()
	to, err := b.leases.get(ctx, old.asked)
	if err != nil {
		return nil, err
	}
	defer b.leases.done(to)

	answers := all(claims, driver.Answer{State: driver.Unknown, Err: errNotMoved})
	for from := 0; from < len(claims); from += maxOps {
		part := claims[from:min(from+maxOps, len(claims))]
		if err := b.move(ctx, part, answers[from:from+len(part)], to); err != nil {
			if errors.Is(err, rpctypes.ErrLeaseNotFound) {
				b.leaseLost(to)
			}
			return answers, nil
		}
	}
	// The engine counts from its call of Renew, and the new lease may be older.
	ttl, err := b.leases.keeper.beat(ctx, to.id)
	if err != nil {
		return nil, err
	}
	if ttl <= 0 {
		b.leaseLost(to)
		return all(claims, driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}), nil
	}
	b.abandon(old)
	return answers, nil
}

// move binds at most maxOps claims to another lease.
func (b *backend) move(ctx context.Context, claims []*claim, answers []driver.Answer, to *lease) error {
	ops := make([]clientv3.Op, len(claims))
	b.mu.Lock()
	for i, c := range claims {
		ops[i] = clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(c.key), "=", c.mod)},
			[]clientv3.Op{clientv3.OpPut(c.key, "", clientv3.WithIgnoreValue(), clientv3.WithLease(to.id))},
			[]clientv3.Op{clientv3.OpGet(c.key, clientv3.WithKeysOnly())},
		)
	}
	b.mu.Unlock()
	resp, err := b.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range claims {
		r := resp.Responses[i].GetResponseTxn()
		if r.Succeeded {
			c.mod, c.lease = resp.Header.Revision, to
		} else if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 && kvs[0].CreateRevision == c.create {
			// An earlier move whose answer was lost, or a repeated Claim.
			c.mod = kvs[0].ModRevision
			if clientv3.LeaseID(kvs[0].Lease) != to.id {
				continue
			}
			c.lease = to
		} else {
			if b.claims[c.id] == c {
				b.forget(c)
			}
			answers[i] = driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}
			continue
		}
		answers[i] = driver.Answer{State: driver.Queued}
		if c.held {
			answers[i] = driver.Answer{State: driver.Held, Tenure: uint64(c.create)}
		}
	}
	return nil
}

// abandon revokes a retired lease once no claim depends on it. That also makes
// every claim impossible that may still be on its way with it.
func (b *backend) abandon(l *lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.claims {
		if c.lease == l && !c.undone && (c.mod != 0 || c.inflight > 0) {
			return
		}
	}
	b.leases.mu.Lock()
	defer b.leases.mu.Unlock()
	if l.inflight == 0 {
		b.leases.drop(l)
	}
}
