package etcdtxn_test

import (
	"context"
	"crypto/rand"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lockerlib/locker/txn"
	"github.com/lockerlib/locker/txn/etcdtxn"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A rig is a Store whose Txns a test can disturb, and a client that sees what
// is on the server.
type rig struct {
	*testing.T
	ctx    context.Context
	dir    string
	store  *etcdtxn.Store
	client *clientv3.Client // undisturbed

	mu    sync.Mutex // guards the fields below
	fault fault      // for the next Txn that writes; then none
	all   fault      // for every request
	txns  int        // Txns that were sent
	late  func() (*etcdserverpb.TxnResponse, error)
}

// A fault carries a request out or not, and says what the client is told.
type fault func(send func() error) error

var errReset = status.Error(codes.Unavailable, "connection reset by the test")

func newRig(t *testing.T) *rig {
	address := os.Getenv("LOCKER_TEST_ETCD")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("LOCKER_TEST_ETCD is not set, and under CI nothing may be skipped")
		}
		t.Skip("needs an etcd: set LOCKER_TEST_ETCD=host:port")
	}
	r := &rig{T: t, ctx: t.Context(), dir: "etcdtxn-test/" + rand.Text() + "/"}
	dial := func(opts ...grpc.DialOption) *clientv3.Client {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second, DialOptions: opts})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	r.client = dial()
	r.store = etcdtxn.New(dial(grpc.WithChainUnaryInterceptor(r.intercept)), etcdtxn.WithPrefix(r.dir+"locks"))
	t.Cleanup(func() {
		r.disturb(nil, nil)
		if err := r.store.Close(context.Background()); err != nil {
			t.Error(err)
		}
		r.client.Delete(context.Background(), r.dir, clientv3.WithPrefix())
	})
	return r
}

func (r *rig) disturb(next, all fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault, r.all = next, all
}

func (r *rig) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	send := func() error { return invoke(ctx, method, req, reply, cc, opts...) }
	r.mu.Lock()
	f := r.all
	if txn, ok := req.(*etcdserverpb.TxnRequest); ok && len(txn.Compare) > 0 {
		r.txns++
		if r.fault != nil {
			f, r.fault = r.fault, nil
			r.late = func() (*etcdserverpb.TxnResponse, error) {
				resp := new(etcdserverpb.TxnResponse)
				return resp, invoke(context.Background(), method, req, resp, cc)
			}
		}
	}
	r.mu.Unlock()
	if f == nil {
		return send()
	}
	return f(send)
}

// The faults.
func replyLost(send func() error) error {
	if err := send(); err != nil {
		return err
	}
	return errReset
}

func requestLost(func() error) error { return errReset }

func (r *rig) key(name string) string { return r.dir + name }

// add adds n to a number, which shows whether it was applied once.
func (r *rig) add(ctx context.Context, n byte) error {
	return txn.Update(ctx, r.store, func(tx txn.Tx) error {
		got, err := tx.GetAll(r.ctx, r.key("sum"))
		if err != nil {
			return err
		}
		tx.Put(r.key("sum"), got[r.key("sum")]+string('0'+n))
		return nil
	})
}

// blind sets the value whatever it was: no compare but the marker's.
func (r *rig) blind(value string) error {
	_, err := txn.If().Then(txn.Put(r.key("sum"), value)).Commit(r.ctx, r.store)
	return err
}

func (r *rig) want(value string) {
	r.Helper()
	resp, err := r.client.Get(r.ctx, r.key("sum"))
	if err != nil {
		r.Fatal(err)
	}
	got := ""
	if len(resp.Kvs) > 0 {
		got = string(resp.Kvs[0].Value)
	}
	if got != value {
		r.Errorf("the sum is %q, want %q", got, value)
	}
}

func (r *rig) markers() *clientv3.GetResponse {
	r.Helper()
	resp, err := r.client.Get(r.ctx, r.dir+"locks//v1t/", clientv3.WithPrefix())
	if err != nil {
		r.Fatal(err)
	}
	return resp
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}
