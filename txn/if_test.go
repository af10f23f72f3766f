package txn_test

import (
	"testing"

	"github.com/lockerlib/locker/txn"
)

func TestIfTakesOneBranch(t *testing.T) {
	eachStore(t, func(r *rig) {
		k, at := r.key("k"), r.key("at")
		r.put("k", "5")
		rev := r.entry("k").ModRevision
		for name, c := range map[string]struct {
			cond txn.Cond
			want bool
		}{
			"revision equal":        {txn.ModRevision(k).Equal(rev), true},
			"revision equal not":    {txn.ModRevision(k).Equal(rev + 1), false},
			"revision other":        {txn.ModRevision(k).NotEqual(rev + 1), true},
			"revision greater":      {txn.ModRevision(k).Greater(rev - 1), true},
			"revision greater not":  {txn.ModRevision(k).Greater(rev), false},
			"revision less":         {txn.ModRevision(k).Less(rev + 1), true},
			"revision less not":     {txn.ModRevision(k).Less(rev), false},
			"value equal":           {txn.Value(k).Equal("5"), true},
			"value other":           {txn.Value(k).NotEqual("5"), false},
			"value greater":         {txn.Value(k).Greater("49"), true},
			"value greater not":     {txn.Value(k).Greater("5"), false},
			"value less":            {txn.Value(k).Less("50"), true},
			"exists":                {txn.Exists(k), true},
			"missing not":           {txn.Missing(k), false},
			"missing":               {txn.Missing(at), true},
			"missing has no value":  {txn.Value(at).NotEqual("5"), false},
			"missing is not empty":  {txn.Value(at).Equal(""), false},
			"missing is revision 0": {txn.ModRevision(at).Less(1), true},
		} {
			var then, other txn.Entry
			ok, err := txn.If(txn.Exists(k), c.cond).
				Then(txn.Get(k, &then)).
				Else(txn.Get(k, &other)).
				Commit(r.ctx, r.store)
			r.ok(err)
			if ok != c.want || then.Exists() != c.want || other.Exists() == c.want {
				r.Errorf("%s: %v, want %v (then %v, else %v)", name, ok, c.want, then, other)
			}
		}
	})
}

func TestIfWritesInOneStep(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "1", "b", "1")
		var before, copied, gone txn.Entry
		swap := txn.If(txn.Value(r.key("a")).Equal("1")).
			Then(txn.Put(r.key("a"), "2"), txn.Delete(r.key("b")), txn.Get(r.key("a"), &before, &copied)).
			Else(txn.Put(r.key("c"), "else"), txn.Get(r.key("b"), &gone), txn.Get(r.key("a")))
		ok, err := swap.Commit(r.ctx, r.store)
		r.ok(err)
		if !ok || before.Value != "1" || copied != before {
			r.Errorf("ok %v, before %v, copied %v", ok, before, copied)
		}
		r.want("a", "2", "b", "", "c", "")

		gone.Value = "set by nobody"
		ok, err = swap.Commit(r.ctx, r.store) // a transaction of its own
		r.ok(err)
		if ok || gone.Exists() || gone.Value != "" || gone.Key != r.key("b") {
			r.Errorf("ok %v, gone %v", ok, gone)
		}
		r.want("a", "2", "b", "", "c", "else")
	})
}

func TestIfIsAValue(t *testing.T) {
	eachStore(t, func(r *rig) {
		base := txn.If(txn.Missing(r.key("never"))).Then(txn.Put(r.key("a"), "1"))
		b, c := base.Then(txn.Put(r.key("b"), "1")), base.Then(txn.Put(r.key("c"), "1"))
		ok, err := b.Commit(r.ctx, r.store)
		r.ok(err)
		if !ok {
			r.Error("the condition does not hold")
		}
		r.want("a", "1", "b", "1", "c", "")
		_ = c
	})
}

func TestAnEmptyIfSucceeds(t *testing.T) {
	eachStore(t, func(r *rig) {
		ok, err := txn.If().Commit(r.ctx, r.store)
		if !ok || err != nil {
			r.Errorf("%v, %v", ok, err)
		}
	})
}
