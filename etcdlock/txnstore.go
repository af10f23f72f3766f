package etcdlock

import (
	"context"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
	"github.com/lockerlib/locker/txn/etcdtxn"
)

// A Guard says how to check, in a transaction of the same etcd, that a hold is
// current: the create revision of Key must equal CreateRevision. Nothing ever
// gives a key of the same name that create revision again.
type Guard = etcdtxn.Guard

var _ txn.Provider = (*Locker)(nil)

// storeCloseTimeout is how long Close tries to give back the lease of the
// store, which ends within a minute otherwise.
const storeCloseTimeout = 500 * time.Millisecond

// txnStore is the transactional store of a Locker, made when it is asked for.
type txnStore struct {
	mu     sync.Mutex // guards the fields below
	store  *etcdtxn.Store
	closed bool
}

// TxnStore returns the store on the etcd of this Locker; see txn.StoreOf. It
// implements txn.Provider.
func (l *Locker) TxnStore() (txn.Store, error) {
	l.txn.mu.Lock()
	defer l.txn.mu.Unlock()
	if l.txn.closed {
		return nil, locker.ErrClosed
	}
	if l.txn.store == nil {
		l.txn.store = etcdtxn.New(l.client, etcdtxn.WithPrefix(l.prefix))
	}
	return l.txn.store, nil
}

// closeStore gives back what the store took.
func (l *Locker) closeStore(ctx context.Context) {
	l.txn.mu.Lock()
	store := l.txn.store
	l.txn.closed = true
	l.txn.mu.Unlock()
	if store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeCloseTimeout)
	defer cancel()
	_ = store.Close(ctx) // what is left has a lease of its own
}
