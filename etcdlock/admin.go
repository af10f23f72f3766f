package etcdlock

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/lockerlib/locker"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// An admin looks at and breaks claims of either mode: they share the queues.
type admin struct {
	client *clientv3.Client
	keys   keyspace
	brief  func(context.Context) (clientv3.LeaseID, error) // for notices
}

// Inspect implements driver.Inspector by one range over the queue. Since stays
// zero: etcd keeps no time of creation. Remaining comes from a second request.
func (b admin) Inspect(ctx context.Context, name string) (locker.Status, error) {
	line := b.keys.line(name)
	resp, err := b.client.Get(ctx, line, clientv3.WithRange(rangeEnd(line)),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		return locker.Status{}, explain(b.client, err)
	}
	if len(resp.Kvs) == 0 {
		return locker.Status{}, locker.ErrNotHeld
	}
	st := locker.Status{Name: name, Holder: holderOf(resp.Kvs[0]), WaiterCount: len(resp.Kvs) - 1}
	st.Holder.Remaining = b.remaining(ctx, resp.Kvs[0])
	for _, kv := range resp.Kvs[1:] {
		r := readRecord(kv.Value)
		st.Waiters = append(st.Waiters, locker.Waiter{Client: r.Client, Owner: r.Owner, Metadata: r.Metadata})
	}
	return st, nil
}

func (b admin) remaining(ctx context.Context, kv *mvccpb.KeyValue) time.Duration {
	resp, err := b.client.TimeToLive(ctx, clientv3.LeaseID(kv.Lease))
	if err != nil || resp.TTL < 0 {
		return 0
	}
	return time.Duration(resp.TTL) * time.Second
}

// listPage is how many claims one request of List reads.
const listPage = 256

// List implements driver.Lister. It reads the claims in pages, in the order of
// their keys, so that those of one name come together. Remaining stays zero.
func (b admin) List(ctx context.Context, prefix string) iter.Seq2[locker.Status, error] {
	return func(yield func(locker.Status, error) bool) {
		from := b.keys.names() + escape(prefix)
		end := rangeEnd(b.keys.names())
		if prefix != "" {
			end = clientv3.GetPrefixRangeEnd(from)
		}
		var cur locker.Status // of the name whose claims are being read
		emit := func() bool { return cur.Name == "" || yield(cur, nil) }
		for {
			resp, err := b.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(listPage))
			if err != nil {
				yield(locker.Status{}, explain(b.client, err))
				return
			}
			for _, kv := range resp.Kvs {
				name, _, ok := b.keys.parse(string(kv.Key))
				if !ok || !strings.HasPrefix(name, prefix) {
					continue // somebody else's key
				}
				h := holderOf(kv)
				switch {
				case name != cur.Name:
					if !emit() {
						return
					}
					cur = locker.Status{Name: name, Holder: h}
					continue
				case h.Token < cur.Holder.Token:
					cur.Holder = h
				}
				cur.WaiterCount++
			}
			if !resp.More || len(resp.Kvs) == 0 {
				emit()
				return
			}
			from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		}
	}
}

// Break implements driver.Breaker. The Txn that deletes the claim also leaves a
// notice where its client looks, under a lease of a few seconds.
func (b admin) Break(ctx context.Context, name string, tenure uint64) error {
	line := b.keys.line(name)
	resp, err := b.client.Get(ctx, line, clientv3.WithRange(rangeEnd(line)),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend), clientv3.WithLimit(1))
	if err != nil {
		return explain(b.client, err)
	}
	if len(resp.Kvs) == 0 || uint64(resp.Kvs[0].CreateRevision) != tenure {
		return locker.ErrNotHeld
	}
	holder := resp.Kvs[0]
	key := string(holder.Key)
	// It is still the first when it is deleted: nothing gets in front of it.
	current := clientv3.Compare(clientv3.CreateRevision(key), "=", holder.CreateRevision)
	ops := []clientv3.Op{clientv3.OpDelete(key)}
	if session := readRecord(holder.Value).Session; session != "" {
		if l, err := b.brief(ctx); err == nil {
			notice := b.keys.notices(session) + strings.TrimPrefix(key, line)
			ops = append(ops, clientv3.OpPut(notice, "", clientv3.WithLease(l)))
		}
	}
	txn, err := b.client.Txn(ctx).If(current).Then(ops...).Commit()
	if errors.Is(err, rpctypes.ErrNoSpace) || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		// The holder finds out at its next renewal.
		txn, err = b.client.Txn(ctx).If(current).Then(ops[0]).Commit()
	}
	switch {
	case err != nil:
		return explain(b.client, err)
	case !txn.Succeeded:
		return locker.ErrNotHeld
	}
	return nil
}
