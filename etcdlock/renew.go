package etcdlock

import (
	"context"
	"fmt"
	"sync"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxOps is how many operations one Txn has at most: etcd's default limit is
// 128, and those of nested Txns count as well.
const maxOps = 100

// Renew implements driver.Backend: one keepalive per lease, and beside it one
// request that lists the keys of the lease, to find those that were deleted
// behind our back.
func (b *backend) Renew(ctx context.Context, refs []driver.Ref) ([]driver.Answer, error) {
	answers := make([]driver.Answer, len(refs))
	byLease := make(map[*lease][]int)
	claims := make([]*claim, len(refs))
	b.mu.Lock()
	for i, r := range refs {
		c := b.claims[r.ID]
		if c == nil || c.undone || c.mod == 0 {
			answers[i] = driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}
			continue
		}
		claims[i] = c
		byLease[c.lease] = append(byLease[c.lease], i)
	}
	b.mu.Unlock()

	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for l, mine := range byLease {
		wg.Go(func() {
			list := make([]*claim, len(mine))
			for n, i := range mine {
				list[n] = claims[i]
			}
			got, err := b.renewLease(ctx, l, list)
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
				return // their answers stay Unknown
			}
			for n, i := range mine {
				answers[i] = got[n]
			}
		})
	}
	wg.Wait()
	if failed != nil && len(byLease) == 1 {
		return nil, explain(b.client, failed)
	}
	return answers, nil
}

// renewLease renews the claims of one lease.
func (b *backend) renewLease(ctx context.Context, l *lease, claims []*claim) ([]driver.Answer, error) {
	b.leases.mu.Lock()
	now := b.clock.SinceBoot()
	dead := !l.valid(now)
	move := l.retired || l.stuck(now) || l.undone >= maxUndone
	b.leases.mu.Unlock()
	if dead {
		b.leaseLost(l)
		return all(claims, driver.Answer{State: driver.Gone, Reason: locker.LostExpired}), nil
	}
	if move {
		return b.moveAll(ctx, l, claims)
	}

	var keys map[string]struct{}
	checked := make(chan struct{})
	b.wg.Go(func() {
		defer close(checked)
		if resp, err := b.client.TimeToLive(ctx, l.id, clientv3.WithAttachedKeys()); err == nil && resp.TTL > 0 {
			keys = make(map[string]struct{}, len(resp.Keys))
			for _, k := range resp.Keys {
				keys[string(k)] = struct{}{}
			}
		}
	})
	ttl, err := b.leases.keeper.beat(ctx, l.id)
	if err != nil {
		return nil, err
	}
	if ttl <= 0 {
		b.leaseLost(l)
		return all(claims, driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}), nil
	}
	answers := b.standing(l, claims)
	select {
	case <-checked:
	case <-ctx.Done():
		return answers, nil // the lease was renewed; the next tick checks
	}
	if keys == nil {
		return answers, nil
	}
	var missing []int
	for i, c := range claims {
		if _, ok := keys[c.key]; !ok {
			missing = append(missing, i)
		}
	}
	b.confirmMissing(ctx, claims, missing, answers)
	return answers, nil
}

// standing answers from what is known here: the queue's watch tells of grants.
// Of a claim that has another lease by now the renewal of l says nothing.
func (b *backend) standing(l *lease, claims []*claim) []driver.Answer {
	answers := make([]driver.Answer, len(claims))
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range claims {
		switch {
		case b.claims[c.id] != c || c.undone:
			answers[i] = driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}
		case c.lease != l || c.mod == 0:
			answers[i] = driver.Answer{State: driver.Unknown, Err: errNotMoved}
		case c.held:
			answers[i] = driver.Answer{State: driver.Held, Tenure: uint64(c.create)}
		default:
			answers[i] = driver.Answer{State: driver.Queued}
		}
	}
	return answers
}

// confirmMissing looks for claims whose keys the list of the lease lacked, by a
// linearizable read: that list may come from a server that is behind.
func (b *backend) confirmMissing(ctx context.Context, claims []*claim, missing []int, answers []driver.Answer) {
	notices := b.keys.notices(b.session)
	for len(missing) > 0 {
		part := missing[:min(len(missing), maxOps/2)]
		missing = missing[len(part):]
		ops := make([]clientv3.Op, 0, 2*len(part))
		for _, i := range part {
			ops = append(ops, clientv3.OpGet(claims[i].key, clientv3.WithKeysOnly()),
				clientv3.OpGet(notices+claims[i].id, clientv3.WithCountOnly()))
		}
		resp, err := b.client.Txn(ctx).Then(ops...).Commit()
		if err != nil {
			return // the next tick checks again
		}
		for n, i := range part {
			c := claims[i]
			own := resp.Responses[2*n].GetResponseRange().Kvs
			b.mu.Lock()
			gone := b.claims[c.id] == c && !c.undone && (len(own) == 0 || own[0].CreateRevision != c.create)
			if gone {
				b.forget(c)
			}
			b.mu.Unlock()
			if !gone {
				continue
			}
			reason := locker.LostEvicted
			if resp.Responses[2*n+1].GetResponseRange().Count > 0 {
				reason = locker.LostBroken
			}
			answers[i] = driver.Answer{State: driver.Gone, Reason: reason}
		}
	}
}

func all(claims []*claim, a driver.Answer) []driver.Answer {
	answers := make([]driver.Answer, len(claims))
	for i := range answers {
		answers[i] = a
	}
	return answers
}

var errNotMoved = fmt.Errorf("%w: the claim could not be moved to a new lease", locker.ErrUnavailable)
