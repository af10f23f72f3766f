package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lookahead is how many claims of a queue an answer lists. Who stands further
// back asks again each time that so many have gone: a constant share of one
// request per handoff, however long the queue.
const lookahead = 64

var errUndone = errors.New("etcdlock: the claim was undone")

// Claim implements driver.Backend.
//
// The claim is put by one Txn that also reads the queue. The put is conditional
// on the revision at which this client last saw the key: a request that the
// server carries out late, after a later one was answered, finds another
// revision and changes nothing, in particular not the lease of the key.
func (b *backend) Claim(ctx context.Context, want driver.Claim) (driver.Answer, error) {
	rec := record{Mode: "x", Client: want.Client, Owner: want.Owner, Metadata: want.Metadata, Session: b.session}
	value, err := rec.encode()
	if err != nil {
		return driver.Answer{}, fmt.Errorf("etcdlock: encoding the claim: %w", err)
	}
	b.mu.Lock()
	c := b.claims[want.ID]
	if c == nil {
		c = &claim{id: want.ID, name: want.Name, key: b.keys.claim(want.Name, want.ID)}
		b.claims[want.ID] = c
	}
	b.mu.Unlock()

	for lost := 0; ; lost++ {
		l, err := b.leases.get(ctx, want.TTL)
		if err != nil {
			return driver.Answer{}, explain(b.client, err)
		}
		a, err := b.claimUnder(ctx, c, l, value, want.Try)
		b.leases.done(l)
		switch {
		case err == nil:
			return a, nil
		case errors.Is(err, rpctypes.ErrLeaseNotFound) && lost < 2:
			b.leaseLost(l)
		case errors.Is(err, errUndone):
			return driver.Answer{State: driver.Gone, Err: err}, nil
		default:
			return driver.Answer{}, explain(b.client, err)
		}
	}
}

// claimUnder claims with one lease.
func (b *backend) claimUnder(ctx context.Context, c *claim, l *lease, value string, try bool) (driver.Answer, error) {
	line := b.keys.line(c.name)
	first := clientv3.OpGet(line, clientv3.WithRange(rangeEnd(line)),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend), clientv3.WithLimit(1))
	ahead := clientv3.OpGet(line, clientv3.WithRange(rangeEnd(line)),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend), clientv3.WithLimit(lookahead), clientv3.WithKeysOnly())
	undo := b.keys.undo(c.id)
	notUndone := clientv3.Compare(clientv3.CreateRevision(undo), "=", 0)
	put := clientv3.OpPut(c.key, value, clientv3.WithLease(l.id))

	for {
		q, expect, err := b.sending(c, l)
		if err != nil {
			return driver.Answer{}, err
		}
		place := clientv3.Compare(clientv3.ModRevision(c.key), "=", expect)
		if try && expect == 0 {
			// Over an empty range the compare acts on a key of zeros, and over
			// any key it fails: nothing is written unless nobody is there.
			place = clientv3.Compare(clientv3.CreateRevision(line).WithRange(rangeEnd(line)), "=", 0)
		}
		resp, err := b.combiner.do(ctx, &part{
			name:  c.name,
			cmps:  []clientv3.Cmp{notUndone, place},
			then:  []clientv3.Op{put, first, ahead},
			other: []clientv3.Op{clientv3.OpGet(c.key), clientv3.OpGet(undo, clientv3.WithCountOnly()), first, ahead},
		})
		v := view{}
		if err == nil {
			v = readView(resp)
		}
		a, again, err := b.claimAnswered(c, l, q, v, value, try, err)
		if !again {
			return a, err
		}
	}
}

// A view is what a Txn saw of a queue.
type view struct {
	put      bool // the claim was written
	undone   bool
	revision int64
	own      *mvccpb.KeyValue // unless put
	first    *mvccpb.KeyValue
	ahead    []*mvccpb.KeyValue
	count    int64
}

func readView(resp *clientv3.TxnResponse) view {
	v := view{put: resp.Succeeded, revision: resp.Header.Revision}
	ops := resp.Responses
	if v.put {
		ops = ops[1:]
	} else {
		if own := ops[0].GetResponseRange().Kvs; len(own) > 0 {
			v.own = own[0]
		}
		v.undone = ops[1].GetResponseRange().Count > 0
		ops = ops[2:]
	}
	v.readLine(ops[0].GetResponseRange(), ops[1].GetResponseRange())
	return v
}

func (v *view) readLine(first, ahead *pb.RangeResponse) {
	if len(first.Kvs) > 0 {
		v.first = first.Kvs[0]
	}
	v.ahead, v.count = ahead.Kvs, first.Count
}

// sending notes that a request for c leaves, before it can. A Release that
// begins after this knows that it must undo it on the server; one that began
// before is seen here, and the request does not leave.
func (b *backend) sending(c *claim, l *lease) (q queueView, expect int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.undone || b.claims[c.id] != c {
		return queueView{}, 0, errUndone
	}
	c.sent = true
	c.inflight++
	if c.mod == 0 {
		c.lease = l
	}
	return b.queues[c.name].expect(), c.mod, nil
}

// claimAnswered takes the answer to a claim, and says whether to ask again.
func (b *backend) claimAnswered(c *claim, l *lease, q queueView, v view, value string, try bool, err error) (a driver.Answer, again bool, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer q.settle()
	c.inflight--
	if err != nil {
		// Once the outcome of one request is unknown, the server may carry it
		// out at any later time, whatever later requests say.
		c.tainted = c.tainted || !refused(err)
		return driver.Answer{}, false, err
	}
	if c.undone {
		return driver.Answer{}, false, errUndone
	}

	switch {
	case v.put:
		if c.create == 0 {
			c.create = v.revision
		}
		c.mod, c.lease = v.revision, l
	case v.undone:
		b.forget(c)
		return driver.Answer{}, false, errUndone
	case v.own != nil:
		// It is there, perhaps by an earlier request whose answer was lost.
		c.create, c.mod = v.own.CreateRevision, v.own.ModRevision
		if clientv3.LeaseID(v.own.Lease) != l.id || string(v.own.Value) != value {
			return driver.Answer{}, true, nil
		}
		c.lease = l
	case c.held:
		b.forget(c)
		return driver.Answer{State: driver.Gone, Reason: b.reasonLocked(c)}, false, nil
	case c.mod != 0:
		// It was waiting and is gone: it queues up again, behind the others. The
		// watch may still be about to tell of those who were in front of it
		// before, which says nothing about its new place.
		c.create, c.mod = 0, 0
		if cur := b.queues[c.name]; cur != nil {
			cur.leave(c.id)
		}
		return driver.Answer{}, true, nil
	case try:
		delete(b.claims, c.id)
		a = driver.Answer{State: driver.Refused, TTL: l.ttl}
		if v.first != nil {
			a.Holder, a.Waiters = holderOf(v.first), int(v.count-1)
		}
		return a, false, nil
	default:
		// The compares failed, yet there is neither an undo nor the claim.
		return driver.Answer{}, false, fmt.Errorf("%w: the answer makes no sense", locker.ErrUnavailable)
	}

	a = driver.Answer{TTL: l.ttl, From: b.leases.counted(l)}
	if v.first != nil && v.first.CreateRevision == c.create {
		c.held = true
		a.State, a.Tenure = driver.Held, uint64(c.create)
		if cur := b.queues[c.name]; cur != nil {
			cur.leave(c.id)
		}
		b.watchNotices()
		return a, false, nil
	}
	if b.enqueue(c, q, v) { // what was ahead has gone since
		a.State, a.Tenure = driver.Held, uint64(c.create)
		b.watchNotices()
		return a, false, nil
	}
	a.State = driver.Queued
	if v.first != nil {
		a.Holder, a.Waiters = holderOf(v.first), max(0, int(v.count-2))
	}
	return a, false, nil
}

// counted returns from when the validity of l counts.
func (ls *leases) counted(l *lease) time.Duration {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return l.sent
}

// leaseLost tells every claim of a lease that the server dropped.
func (b *backend) leaseLost(l *lease) {
	b.leases.mu.Lock()
	reason := locker.LostExpired
	if l.valid(b.clock.SinceBoot()) || l.dead && b.clock.SinceBoot()-l.sent < l.ttl-l.ttl/100 {
		reason = locker.LostEvicted // before its time: it was revoked
	}
	b.leases.drop(l)
	b.leases.mu.Unlock()

	b.mu.Lock()
	lost := make(map[*claim]int64)
	for _, c := range b.claims {
		if c.lease == l && c.mod != 0 {
			lost[c] = c.create
		}
	}
	b.mu.Unlock()
	for c, created := range lost {
		b.gone(c, created, reason, nil)
	}
}

// reasonLocked says why a claim is gone of which nothing is known but that.
func (b *backend) reasonLocked(c *claim) locker.LostReason {
	b.leases.mu.Lock()
	defer b.leases.mu.Unlock()
	if b.clock.SinceBoot()-c.lease.sent >= c.lease.ttl-c.lease.ttl/100 {
		return locker.LostExpired
	}
	return locker.LostEvicted
}
