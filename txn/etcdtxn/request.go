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
//	else: which guards are current
//
// The nesting tells a lost guard from a condition that does not hold. All of
// it is judged before any of it is applied, and applied at one revision.
type request struct {
	cmps        []clientv3.Cmp
	conds       []clientv3.Cmp
	then, other []clientv3.Op // gets first: they see the state before the writes
	guards      []Guard
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
	current   []bool                     // by guard, if outer is false
}

func (r *request) send(ctx context.Context, client *clientv3.Client) (*response, error) {
	var probes []clientv3.Op
	for _, g := range r.guards {
		probes = append(probes, clientv3.OpGet(g.Key, clientv3.WithKeysOnly()))
	}
	then := []clientv3.Op{clientv3.OpTxn(r.conds, r.then, r.other)}
	if len(r.conds)+len(r.then)+len(r.other) == 0 {
		// Only guards are asked for. A Txn of no operations at all would be
		// answered by whatever the member at hand knows, which may be old.
		then = probes
	}
	resp, err := client.Txn(ctx).If(r.cmps...).Then(then...).Else(probes...).Commit()
	if err != nil {
		return nil, err
	}
	answer := &response{outer: resp.Succeeded, revision: resp.Header.Revision}
	switch {
	case !resp.Succeeded:
		for i, g := range r.guards {
			kvs := resp.Responses[i].GetResponseRange().Kvs
			answer.current = append(answer.current, len(kvs) > 0 && kvs[0].CreateRevision == g.CreateRevision)
		}
	case len(resp.Responses) > 0 && resp.Responses[0].GetResponseTxn() != nil:
		inner := resp.Responses[0].GetResponseTxn()
		answer.succeeded, answer.inner = inner.Succeeded, inner.Responses
	default:
		answer.succeeded = true
	}
	return answer, nil
}

// lost reports whether a guard was not current.
func (r *response) lost() bool {
	return slices.Contains(r.current, false)
}

// reads returns what the gets of the branch that was applied have read.
func (r *response) reads(c txn.Commit) []txn.Entry {
	branch := c.Else
	if r.succeeded {
		branch = c.Then
	}
	var entries []txn.Entry
	for _, op := range branch {
		if op.Kind == txn.OpGet {
			entries = append(entries, entry(op.Key, r.inner[len(entries)].GetResponseRange().Kvs))
		}
	}
	return entries
}
