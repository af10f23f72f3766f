package etcdtxn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker/txn"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// errGone: the marker is neither as it was, nor does it say anything. It went
// with its lease, after the commit or before.
var errGone = errors.New("etcdtxn: the marker is gone, and its lease with it")

// settle finds out what became of a commit whose answer says nothing, and makes
// sure that it stays so. why is errOpen if the Txn may still be on its way. The
// commit is to be sent again if the error is errRepeat.
func (s *Store) settle(ctx context.Context, c txn.Commit, m marker, why error) (txn.Result, error) {
	patience, cancel := graceContext(ctx)
	defer cancel()
	for {
		attempt, cancel := attemptContext(patience)
		mark, revision, err := s.mark(attempt, m, errors.Is(why, errOpen))
		cancel()
		switch {
		case err == nil && (mark == markThen || mark == markElse):
			return s.recall(patience, c, m, mark == markThen, revision, why)
		case err == nil && errors.Is(why, errOpen):
			return txn.Result{}, errRepeat // and m is never used again
		case err == nil:
			s.markers.give(m, m.revision)
			return txn.Result{}, s.failed(ctx, why)
		case errors.Is(err, errGone), !unanswered(err), !rest(patience):
			s.markers.forget(m)
			return txn.Result{}, s.unknown(ctx, fmt.Errorf("%w; %w", why, err))
		}
	}
}

// mark returns what the commit of m left there: markThen or markElse and the
// revision of the commit; or markAborted, after which it comes to nothing. If
// it may still be on its way, that takes a change of the marker, under the very
// lease that the commit names: once the lease is gone, the commit fails too.
func (s *Store) mark(ctx context.Context, m marker, open bool) (mark string, revision int64, err error) {
	var found []*mvccpb.KeyValue
	if open {
		var aborted bool
		aborted, found, err = s.abort(ctx, m, m.put(markAborted))
		if errors.Is(err, rpctypes.ErrNoSpace) && m.revision > 0 {
			// An etcd without space still deletes.
			aborted, found, err = s.abort(ctx, m, clientv3.OpDelete(m.key))
		}
		if aborted {
			return markAborted, 0, nil
		}
	} else {
		var resp *clientv3.GetResponse
		if resp, err = s.client.Get(ctx, m.key); err == nil {
			found = resp.Kvs
		}
	}
	switch {
	case err != nil:
		return "", 0, err
	case len(found) > 0 && found[0].ModRevision != m.revision:
		return string(found[0].Value), found[0].ModRevision, nil
	case len(found) > 0 || m.revision == 0:
		return markAborted, 0, nil // as it was, and the request has been answered
	}
	return "", 0, errGone
}

func (s *Store) abort(ctx context.Context, m marker, change clientv3.Op) (aborted bool, found []*mvccpb.KeyValue, err error) {
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(m.key), "=", m.revision)).
		Then(change).
		Else(clientv3.OpGet(m.key)).
		Commit()
	if err != nil || resp.Succeeded {
		return err == nil, nil, err
	}
	return false, resp.Responses[0].GetResponseRange().Kvs, nil
}

// recall makes the answer that was lost: its gets saw the state before it.
func (s *Store) recall(ctx context.Context, c txn.Commit, m marker, succeeded bool, revision int64, why error) (txn.Result, error) {
	s.markers.give(m, revision)
	branch := c.Else
	if succeeded {
		branch = c.Then
	}
	res := txn.Result{Succeeded: succeeded}
	if gets(branch) == 0 {
		return res, nil
	}
	var keys []string
	for _, op := range branch {
		if op.Kind == txn.OpGet {
			keys = append(keys, op.Key)
		}
	}
	before := &snapshot{store: s, revision: revision - 1}
	reads, err := before.Read(ctx, keys...)
	if err != nil {
		return txn.Result{}, s.unknown(ctx, fmt.Errorf("it was applied at revision %d, but what its gets saw is lost: %w; %w", revision, why, err))
	}
	res.Reads = reads
	return res, nil
}

// graceContext lasts as long as ctx, and a little longer.
func graceContext(ctx context.Context) (context.Context, context.CancelFunc) {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(settleGrace, cancel) })
	return grace, func() {
		stop()
		cancel()
	}
}
