package etcdtxn_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestALostReplyIsSettledAsApplied(t *testing.T) {
	r := newRig(t)
	r.ok(r.add(r.ctx, 1)) // makes the marker
	for n := range byte(2) {
		r.disturb(replyLost, nil)
		r.ok(r.add(r.ctx, 2+n))
	}
	r.want("123")
}

func TestTheFirstReplyIsLost(t *testing.T) {
	r := newRig(t)
	r.disturb(replyLost, nil)
	r.ok(r.add(r.ctx, 1))
	r.want("1")
}

func TestALostRequestIsSentAgain(t *testing.T) {
	r := newRig(t)
	for n := range byte(3) {
		r.disturb(requestLost, nil)
		r.ok(r.add(r.ctx, 1+n))
	}
	r.want("123")
}

// The Txn arrives when its commit has been settled and sent again.
func TestALateRequestComesToNothing(t *testing.T) {
	r := newRig(t)
	for round, v := range []string{"1", "2", "3"} {
		r.disturb(requestLost, nil)
		r.ok(r.blind(v))
		r.ok(r.blind("after"))
		resp, err := r.late()
		if err != nil || resp.Succeeded {
			t.Fatalf("round %d: the late Txn was applied (%v)", round, err)
		}
		r.want("after")
	}
}

// And after the markers have gone with their lease, too.
func TestALateRequestComesToNothingAfterTheLease(t *testing.T) {
	r := newRig(t)
	r.disturb(requestLost, nil)
	r.ok(r.blind("1"))
	r.ok(r.store.Close(r.ctx))
	if n := r.markers().Count; n != 0 {
		t.Fatalf("%d markers are left", n)
	}
	if _, err := r.late(); !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) {
		t.Fatalf("the late Txn: %v, want that its lease is not found", err)
	}
	r.want("1")
}

func TestWhatCannotBeSettledIsUnknown(t *testing.T) {
	r := newRig(t)
	r.ok(r.add(r.ctx, 1))
	for name, f := range map[string]fault{"applied": replyLost, "lost": requestLost} {
		ctx, cancel := context.WithTimeout(r.ctx, 300*time.Millisecond)
		cut := func(send func() error) error {
			r.disturb(nil, requestLost)
			return f(send)
		}
		r.disturb(cut, nil)
		_, err := txn.If().Then(txn.Put(r.key(name), "1")).Commit(ctx, r.store)
		cancel()
		for _, want := range []error{txn.ErrUnknown, locker.ErrUnavailable, context.DeadlineExceeded} {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		r.disturb(nil, nil)
		r.ok(r.add(r.ctx, 2)) // the store goes on, on another lease
	}
	r.want("122")
}

// The outcome is found out in the second after the end of the context.
func TestACancelledCommitIsSettled(t *testing.T) {
	r := newRig(t)
	r.ok(r.add(r.ctx, 1))
	ctx, cancel := context.WithCancel(r.ctx)
	r.disturb(func(send func() error) error { err := send(); cancel(); return errors.Join(err, errReset) }, nil)
	r.ok(r.add(ctx, 2))
	r.want("12")

	ctx, cancel = context.WithCancel(r.ctx)
	r.disturb(func(func() error) error { cancel(); return errReset }, nil)
	if err := r.add(ctx, 3); !errors.Is(err, context.Canceled) || errors.Is(err, txn.ErrUnknown) {
		t.Errorf("Update = %v, want the error of the context only", err)
	}
	r.want("12")
}

func TestARecalledIfAnswersWithWhatItSaw(t *testing.T) {
	r := newRig(t)
	put := func(v string) txn.Op { return txn.Put(r.key("sum"), v) }
	var then, other txn.Entry
	swap := txn.If(txn.Value(r.key("sum")).Equal("1")).
		Then(put("2"), txn.Get(r.key("sum"), &then)).
		Else(put("1"), txn.Get(r.key("sum"), &other))
	for i, want := range []bool{false, true, false} {
		r.disturb(replyLost, nil)
		ok, err := swap.Commit(r.ctx, r.store)
		r.ok(err)
		if ok != want {
			t.Errorf("round %d: %v, want %v", i, ok, want)
		}
	}
	if then.Value != "1" || other.Value != "2" || other.ModRevision <= then.ModRevision {
		t.Errorf("then %v, else %v", then, other)
	}
	r.want("1")
}

// The write that takes the last space is applied, and answered with an error.
func TestTheLastSpace(t *testing.T) {
	r := newRig(t)
	full := func(apply bool) fault {
		return func(send func() error) error {
			if apply {
				if err := send(); err != nil {
					return err
				}
			}
			return rpctypes.ErrGRPCNoSpace
		}
	}
	r.ok(r.add(r.ctx, 1))
	r.disturb(full(true), nil)
	r.ok(r.add(r.ctx, 2))
	r.disturb(full(false), nil)
	if err := r.add(r.ctx, 3); !errors.Is(err, rpctypes.ErrNoSpace) || errors.Is(err, txn.ErrUnknown) {
		t.Errorf("Update = %v, want ErrNoSpace", err)
	}
	r.want("12")
}

func TestALeaseThatWentAwayIsReplaced(t *testing.T) {
	r := newRig(t)
	r.ok(r.add(r.ctx, 1))
	if _, err := r.client.Revoke(r.ctx, clientv3.LeaseID(r.markers().Kvs[0].Lease)); err != nil {
		t.Fatal(err)
	}
	r.ok(r.add(r.ctx, 2))
	r.ok(r.add(r.ctx, 3))
	r.want("123")
}

func TestMarkersAreReused(t *testing.T) {
	r := newRig(t)
	for range 20 {
		r.ok(r.add(r.ctx, 1))
	}
	if n := r.markers().Count; n != 1 {
		t.Errorf("%d markers after 20 commits one after another, want 1", n)
	}
	if r.txns != 20 {
		t.Errorf("%d Txns for 20 commits", r.txns)
	}
	r.ok(r.store.Close(r.ctx))
	if n := r.markers().Count; n != 0 {
		t.Errorf("%d markers after Close", n)
	}
	if err := r.add(r.ctx, 1); !errors.Is(err, locker.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
