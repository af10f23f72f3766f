package txn_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/lockerlib/locker/txn"
	"github.com/lockerlib/locker/txn/etcdtxn"
	"github.com/lockerlib/locker/txn/memtxn"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A rig is a server with a store, and with claims that can guard it.
type rig struct {
	*testing.T
	ctx   context.Context
	store txn.Store
	other txn.Store // of the same server
	dir   string    // what the keys of this test begin with
	claim func() any
	evict func(guard any)
}

func (r *rig) key(name string) string { return r.dir + name }

// hold returns a lock that is held by a claim of its own.
func (r *rig) hold() *lock { return &lock{guard: r.claim()} }

// eachStore runs fn on memory, in a bubble of its own, and on the etcd of
// LOCKER_TEST_ETCD.
func eachStore(t *testing.T, fn func(r *rig)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { fn(memRig(t)) })
	})
	t.Run("etcd", func(t *testing.T) { fn(etcdRig(t)) })
}

func memRig(t *testing.T) *rig {
	server := &memServer{bag: make(map[any]any), current: make(map[memGuard]bool)}
	guards := 0
	return &rig{
		T: t, ctx: t.Context(), store: memtxn.New(server), other: memtxn.New(server),
		claim: func() any {
			guards++
			server.Atomically(func(memtxn.View) { server.current[memGuard(guards)] = true })
			return memGuard(guards)
		},
		evict: func(g any) {
			server.Atomically(func(memtxn.View) { delete(server.current, g.(memGuard)) })
		},
	}
}

func etcdRig(t *testing.T) *rig {
	address := os.Getenv("LOCKER_TEST_ETCD")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("LOCKER_TEST_ETCD is not set, and under CI nothing may be skipped")
		}
		t.Skip("needs an etcd: set LOCKER_TEST_ETCD=host:port")
	}
	client := func() *clientv3.Client {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dir := "txn-test/" + rand.Text() + "/"
	first := client()
	r := &rig{T: t, ctx: t.Context(), dir: dir}
	store := func(c *clientv3.Client) txn.Store {
		s := etcdtxn.New(c, etcdtxn.WithPrefix(dir+"locks"))
		t.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	t.Cleanup(func() { first.Delete(context.Background(), dir, clientv3.WithPrefix()) })
	r.store, r.other = store(first), store(client())
	claims := 0
	r.claim = func() any {
		claims++
		key := dir + "locks//v1/name/" + strconv.Itoa(claims)
		resp, err := first.Put(r.ctx, key, "")
		if err != nil {
			t.Fatal(err)
		}
		return etcdtxn.Guard{Key: key, CreateRevision: resp.Header.Revision}
	}
	r.evict = func(g any) {
		if _, err := first.Delete(r.ctx, g.(etcdtxn.Guard).Key); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// memServer is the smallest server that memtxn accepts.
type memServer struct {
	mu      sync.Mutex // held by Atomically, guards the rest
	bag     map[any]any
	current map[memGuard]bool
}

type memGuard int

func (s *memServer) Atomically(fn func(memtxn.View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(s)
}

func (s *memServer) Current(g any) bool  { return s.current[g.(memGuard)] }
func (s *memServer) Values() map[any]any { return s.bag }

func (s *memServer) CheckGuard(g any) error {
	if _, ok := g.(memGuard); !ok {
		return errors.New("not a guard of this server")
	}
	return nil
}

// lock is a locker.Lock of which only what a guard needs is real.
type lock struct {
	locker.Lock
	guard any
	mu    sync.Mutex // guards err
	err   error
}

var _ driver.Guarded = (*lock)(nil)

func (l *lock) Name() string        { return "name" }
func (l *lock) Guard() (any, error) { return l.guard, l.Err() }

func (l *lock) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *lock) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// put sets keys on the other store, name and value in turn.
func (r *rig) put(pairs ...string) {
	r.Helper()
	var ops []txn.Op
	for i := 0; i < len(pairs); i += 2 {
		ops = append(ops, txn.Put(r.key(pairs[i]), pairs[i+1]))
	}
	if _, err := txn.If().Then(ops...).Commit(r.ctx, r.other); err != nil {
		r.Fatal(err)
	}
}

// want checks keys on the other store; "" stands for missing.
func (r *rig) want(pairs ...string) {
	r.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := r.entry(pairs[i]); got.Value != pairs[i+1] || got.Exists() != (pairs[i+1] != "") {
			r.Errorf("%s is %q, want %q", pairs[i], got.Value, pairs[i+1])
		}
	}
}

func (r *rig) entry(name string) (e txn.Entry) {
	r.Helper()
	if _, err := txn.If().Then(txn.Get(r.key(name), &e)).Commit(r.ctx, r.other); err != nil {
		r.Fatal(err)
	}
	return e
}

func (r *rig) is(err, target error) {
	r.Helper()
	if !errors.Is(err, target) {
		r.Errorf("the error is %v, want %v", err, target)
	}
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}
