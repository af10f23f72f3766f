package etcdtxn

import (
	"context"
	"slices"

	"github.com/lockerlib/locker/txn"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A request is one etcd Txn:
//
//	if every guard is current and the marker is as it was:
//	    if the conditions hold: the gets, then the writes of Then, the marker
//	    else:                   the gets, then the writes of Else, the marker if there are any
//	else: which guards are current, and how the marker is
//
// All of it is judged before any of it is applied, and applied at one revision.
// Where Else is empty, as in every Update, the two conditions are one.
type request struct {
	cmps        []clientv3.Cmp // of the guards
	conds       []clientv3.Cmp
	then, other []clientv3.Op // gets first: they see the state before the writes
	guards      []Guard
	marker      *marker // nil if nothing is written
}

func newRequest(c txn.Commit) *request {
	r := &request{then: ops(c.Then), other: ops(c.Else)}
	for _, g := range c.Guards {
		guard := g.(Guard) // checked by CheckGuard
		r.guards = append(r.guards, guard)
		r.cmps = append(r.cmps, clientv3.Compare(clientv3.CreateRevision(guard.Key), "=", guard.CreateRevision))
	}
	for _, cond := range c.If {
		r.conds = append(r.conds, compare(cond))
	}
	return r
}

func compare(c txn.Cond) clientv3.Cmp {
	relation := [...]string{txn.Equal: "=", txn.NotEqual: "!=", txn.Greater: ">", txn.Less: "<"}[c.Relation]
	if c.Target == txn.OnValue {
		return clientv3.Compare(clientv3.Value(c.Key), relation, c.Value)
	}
	return clientv3.Compare(clientv3.ModRevision(c.Key), relation, c.Revision)
}

func ops(from []txn.Op) []clientv3.Op {
	reads := make([]clientv3.Op, 0, len(from)+1) // and the marker
	var writes []clientv3.Op
	for _, op := range from {
		switch op.Kind {
		case txn.OpGet:
			reads = append(reads, clientv3.OpGet(op.Key))
		case txn.OpPut:
			writes = append(writes, clientv3.OpPut(op.Key, op.Value))
		case txn.OpDelete:
			writes = append(writes, clientv3.OpDelete(op.Key))
		}
	}
	return append(reads, writes...)
}

// gets counts the gets in a branch.
func gets(from []txn.Op) int {
	n := 0
	for _, op := range from {
		if op.Kind == txn.OpGet {
			n++
		}
	}
	return n
}

// A response is the answer to a request.
type response struct {
	outer     bool // the guards and the marker stood
	succeeded bool // and the conditions held
	revision  int64
	inner     []*etcdserverpb.ResponseOp // of the branch that was applied
	current   []bool                     // by guard, if the Txn did not succeed
}

// flat reports whether one level is enough: with nothing to do if the
// conditions do not hold, the other branch is free to tell why nothing was done.
func (r *request) flat() bool { return len(r.conds) > 0 && len(r.other) == 0 }

func (r *request) send(ctx context.Context, client *clientv3.Client) (*response, error) {
	var probes []clientv3.Op
	for _, g := range r.guards {
		probes = append(probes, clientv3.OpGet(g.Key, clientv3.WithKeysOnly()))
	}
	cmps := slices.Clone(r.cmps)
	if r.marker != nil {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(r.marker.key), "=", r.marker.revision))
		probes = append(probes, clientv3.OpGet(r.marker.key))
	}
	var then []clientv3.Op
	switch {
	case r.flat():
		cmps, then = append(cmps, r.conds...), r.then
	case len(r.conds)+len(r.then)+len(r.other) > 0:
		then = []clientv3.Op{clientv3.OpTxn(r.conds, r.then, r.other)}
	}
	if len(then) == 0 {
		// A Txn of no operations at all would be answered by whatever the
		// member at hand knows, which may be old.
		then = []clientv3.Op{clientv3.OpGet(r.any(), clientv3.WithKeysOnly())}
	}
	if len(probes) == 0 {
		probes = then[:1]
	}
	resp, err := client.Txn(ctx).If(cmps...).Then(then...).Else(probes...).Commit()
	if err != nil {
		return nil, err
	}
	answer := &response{outer: true, succeeded: resp.Succeeded, revision: resp.Header.Revision}
	switch {
	case !resp.Succeeded:
		answer.probed(r, resp)
	case r.flat():
		answer.inner = resp.Responses
	default:
		if inner := resp.Responses[0].GetResponseTxn(); inner != nil {
			answer.succeeded, answer.inner = inner.Succeeded, inner.Responses
		}
	}
	return answer, nil
}

// probed tells from the probes why the Txn failed.
func (a *response) probed(r *request, resp *clientv3.TxnResponse) {
	a.outer = r.flat()
	for i, g := range r.guards {
		kvs := resp.Responses[i].GetResponseRange().Kvs
		current := len(kvs) > 0 && kvs[0].CreateRevision == g.CreateRevision
		a.current = append(a.current, current)
		a.outer = a.outer && current
	}
	if r.marker != nil {
		e := entry(r.marker.key, resp.Responses[len(r.guards)].GetResponseRange().Kvs)
		a.outer = a.outer && e.ModRevision == r.marker.revision
	}
}

// any returns a key that the request is about, of which it has a condition.
func (r *request) any() string { return string(slices.Concat(r.cmps, r.conds)[0].KeyBytes()) }

// lost reports whether a guard was not current.
func (a *response) lost() bool {
	return slices.Contains(a.current, false)
}

// reads returns what the gets of the branch that was applied have read.
func (a *response) reads(c txn.Commit) []txn.Entry {
	branch := c.Else
	if a.succeeded {
		branch = c.Then
	}
	var entries []txn.Entry
	for _, op := range branch {
		if op.Kind == txn.OpGet {
			entries = append(entries, entry(op.Key, a.inner[len(entries)].GetResponseRange().Kvs))
		}
	}
	return entries
}
