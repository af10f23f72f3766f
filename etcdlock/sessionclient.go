package etcdlock

import (
	"context"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// An observer sees the requests that a concurrency.Mutex makes and does not
// tell about: whether it queued up, and whether its cleanup succeeded.
type observer struct {
	queued chan struct{} // closed when the Mutex was told that it must wait

	mu        sync.Mutex
	first     int64 // create revision of the holder, when it must wait
	deleted   bool  // a delete was answered
	found     bool  // and there was something to delete
	uncertain bool  // a request whose outcome is unknown
}

// clientFor returns a client that works through client, for one Mutex. ctx is
// what the Mutex cleans up under after its own context has ended.
func (o *observer) clientFor(ctx context.Context, client *clientv3.Client, lease clientv3.Lease) *clientv3.Client {
	c := clientv3.NewCtxClient(ctx, clientv3.WithZapLogger(zap.NewNop()))
	c.KV = &observedKV{KV: client.KV, o: o}
	c.Watcher = client.Watcher
	c.Lease = lease
	return c
}

func (o *observer) locked(resp *clientv3.TxnResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.uncertain = o.uncertain || !refused(err)
		return
	}
	// Both branches of the Mutex's Txn end with the oldest key of the queue.
	last := resp.Responses[len(resp.Responses)-1].GetResponseRange()
	if resp.Succeeded && len(last.GetKvs()) > 0 && last.Kvs[0].CreateRevision != resp.Header.Revision {
		o.first = last.Kvs[0].CreateRevision
		close(o.queued)
	}
}

func (o *observer) removed(resp *clientv3.DeleteResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.uncertain = true
		return
	}
	o.deleted, o.found = true, o.found || resp.Deleted > 0
}

// clean reports whether the server surely has nothing of this Mutex: what it
// put was answered, and so was the delete after it.
func (o *observer) clean() (clean, found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.deleted && !o.uncertain, o.found
}

type observedKV struct {
	clientv3.KV
	o *observer
}

func (k *observedKV) Txn(ctx context.Context) clientv3.Txn {
	return &observedTxn{txn: k.KV.Txn(ctx), o: k.o}
}

func (k *observedKV) Delete(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	resp, err := k.KV.Delete(ctx, key, opts...)
	k.o.removed(resp, err)
	return resp, err
}

type observedTxn struct {
	txn clientv3.Txn
	o   *observer
}

func (t *observedTxn) If(cs ...clientv3.Cmp) clientv3.Txn   { t.txn = t.txn.If(cs...); return t }
func (t *observedTxn) Then(ops ...clientv3.Op) clientv3.Txn { t.txn = t.txn.Then(ops...); return t }
func (t *observedTxn) Else(ops ...clientv3.Op) clientv3.Txn { t.txn = t.txn.Else(ops...); return t }

func (t *observedTxn) Commit() (*clientv3.TxnResponse, error) {
	resp, err := t.txn.Commit()
	t.o.locked(resp, err)
	return resp, err
}
