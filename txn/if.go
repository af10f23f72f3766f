package txn

import (
	"context"
	"slices"
)

// A Conditional is a transaction whose keys are known beforehand: one round
// trip, and no retries, because nothing can conflict. It is a value: each
// method returns a new one, and Commit may be called again, each time as a
// transaction of its own.
type Conditional struct {
	conds       []Cond
	then, other []Op
}

// If begins a Conditional. It succeeds if every one of conds holds, so without
// any it always does.
//
//	ok, err := txn.If(txn.ModRevision("k").Equal(7)).
//		Then(txn.Put("k", "new")).
//		Else(txn.Get("k", &now)).
//		Commit(ctx, store)
func If(conds ...Cond) Conditional { return Conditional{conds: slices.Clone(conds)} }

// Then adds what is done if the conditions hold. A branch may write a key once.
func (c Conditional) Then(ops ...Op) Conditional {
	c.then = slices.Concat(c.then, ops)
	return c
}

// Else adds what is done if they do not.
func (c Conditional) Else(ops ...Op) Conditional {
	c.other = slices.Concat(c.other, ops)
	return c
}

// Commit judges the conditions and applies one of the branches, in one atomic
// step. ok says whether it was Then. The destinations of the gets of that
// branch are set when err is nil, and left alone otherwise.
//
// An error means that nothing was written, and nothing ever will be, unless it
// is ErrUnknown. On a guarded store it is locker.ErrLost if the lock is not
// held any more. If ctx ends meanwhile, Commit takes up to another second to
// find out what became of it.
func (c Conditional) Commit(ctx context.Context, store Store) (ok bool, err error) {
	if err := checkCall(ctx, store); err != nil {
		return false, err
	}
	for _, cond := range c.conds {
		if err := cond.check(); err != nil {
			return false, err
		}
	}
	for _, branch := range [][]Op{c.then, c.other} {
		if err := checkOps(branch); err != nil {
			return false, err
		}
	}
	res, err := store.Commit(ctx, Commit{If: c.conds, Then: c.then, Else: c.other})
	if err != nil {
		return false, err
	}
	branch := c.other
	if res.Succeeded {
		branch = c.then
	}
	return res.Succeeded, deliver(branch, res.Reads)
}

func checkCall(ctx context.Context, store Store) error {
	if ctx == nil {
		return invalidf("the context is nil")
	}
	if store == nil {
		return invalidf("the Store is nil")
	}
	return nil
}
