package etcdtxn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
	"github.com/lockerlib/locker/txn/etcdtxn"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestACompactedSnapshotIsTakenAnew(t *testing.T) {
	r := newRig(t)
	r.ok(r.add(r.ctx, 1))
	attempts := 0
	r.ok(txn.View(r.ctx, r.store, func(v txn.Reader) error {
		if _, err := v.Get(r.ctx, r.key("sum")); err != nil {
			return err
		}
		if attempts++; attempts == 1 {
			resp, err := r.client.Put(r.ctx, r.key("other"), "1")
			r.ok(err)
			_, err = r.client.Compact(r.ctx, resp.Header.Revision)
			r.ok(err)
		}
		_, err := v.Get(r.ctx, r.key("other"))
		return err
	}))
	if attempts != 2 {
		t.Errorf("%d attempts, want 2", attempts)
	}
}

func TestTooMuchForOneTxn(t *testing.T) {
	r := newRig(t)
	for name, put := range map[string]func(txn.Tx){
		"keys": func(tx txn.Tx) {
			for i := range 200 {
				tx.Put(r.key(fmt.Sprint(i)), "1")
			}
		},
		"bytes on the server": func(tx txn.Tx) { tx.Put(r.key("big"), strings.Repeat("x", 1_800_000)) },
		"bytes in the client": func(tx txn.Tx) { tx.Put(r.key("big"), strings.Repeat("x", 3<<20)) },
	} {
		err := txn.Update(r.ctx, r.store, func(tx txn.Tx) error { put(tx); return nil })
		if !errors.Is(err, locker.ErrInvalid) || !strings.Contains(err.Error(), "--max-") {
			t.Errorf("%s: %v, want ErrInvalid that names the limit", name, err)
		}
	}
	r.ok(r.add(r.ctx, 1))
	if resp, err := r.client.Get(r.ctx, r.dir, clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil || resp.Count != 2 {
		t.Errorf("%v keys are there (%v), want the sum and a marker", resp.Count, err)
	}
}

func TestTheKeysOfLocksCannotBeWritten(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{r.dir + "locks//v1/name/claim", r.dir + "locks//anything"} {
		for name, op := range map[string]txn.Op{"put": txn.Put(key, ""), "delete": txn.Delete(key)} {
			for _, c := range []txn.Conditional{txn.If().Then(op), txn.If().Else(op)} {
				if _, err := c.Commit(r.ctx, r.store); !errors.Is(err, locker.ErrInvalid) {
					t.Errorf("%s %q: %v", name, key, err)
				}
			}
		}
		if _, err := txn.If(txn.Missing(key)).Then(txn.Get(key)).Commit(r.ctx, r.store); err != nil {
			t.Errorf("reading %q: %v", key, err)
		}
	}
}

func TestAStoreThatCannotWork(t *testing.T) {
	for name, s := range map[string]*etcdtxn.Store{
		"nil client": etcdtxn.New(nil),
		"nil option": etcdtxn.New(&clientv3.Client{}, nil),
		"prefix":     etcdtxn.New(&clientv3.Client{}, etcdtxn.WithPrefix("a//b")),
	} {
		err := txn.Update(t.Context(), s, func(tx txn.Tx) error { tx.Put("k", ""); return nil })
		if !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("%s: Update = %v", name, err)
		}
		err = txn.View(t.Context(), s, func(v txn.Reader) error { _, err := v.Get(t.Context(), "k"); return err })
		if !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("%s: View = %v", name, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("%s: Close = %v", name, err)
		}
	}
}
