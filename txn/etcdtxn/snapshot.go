package etcdtxn

import (
	"context"
	"errors"
	"slices"

	"github.com/lockerlib/locker/txn"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// readChunk is how many keys are read in one request, below the server's
// default of 128 operations.
const readChunk = 100

// Snapshot implements txn.Store.
func (s *Store) Snapshot() txn.Snapshot { return &snapshot{store: s} }

// A snapshot reads at the revision of its first answer.
type snapshot struct {
	store    *Store
	revision int64
}

func (s *snapshot) Read(ctx context.Context, keys ...string) ([]txn.Entry, error) {
	if s.store.invalid != nil {
		return nil, s.store.invalid
	}
	entries := make([]txn.Entry, 0, len(keys))
	for chunk := range slices.Chunk(keys, readChunk) {
		kvs, err := s.read(ctx, chunk)
		if errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrFutureRev) {
			return nil, txn.ErrConflict // the next attempt reads at a younger revision
		}
		if err != nil {
			return nil, s.store.failed(ctx, err)
		}
		for i, key := range chunk {
			entries = append(entries, entry(key, kvs[i]))
		}
	}
	return entries, nil
}

// read reads keys in one request, each to no or one KeyValue.
func (s *snapshot) read(ctx context.Context, keys []string) ([][]*mvccpb.KeyValue, error) {
	if len(keys) == 1 {
		resp, err := s.store.client.Get(ctx, keys[0], clientv3.WithRev(s.revision))
		if err != nil {
			return nil, err
		}
		s.pin(resp.Header.Revision)
		return [][]*mvccpb.KeyValue{resp.Kvs}, nil
	}
	ops := make([]clientv3.Op, len(keys))
	for i, k := range keys {
		ops[i] = clientv3.OpGet(k, clientv3.WithRev(s.revision))
	}
	resp, err := s.store.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, err
	}
	s.pin(resp.Header.Revision)
	kvs := make([][]*mvccpb.KeyValue, len(keys))
	for i, r := range resp.Responses {
		kvs[i] = r.GetResponseRange().Kvs
	}
	return kvs, nil
}

func (s *snapshot) pin(revision int64) {
	if s.revision == 0 {
		s.revision = revision
	}
}

func entry(key string, kvs []*mvccpb.KeyValue) txn.Entry {
	if len(kvs) == 0 {
		return txn.Entry{Key: key}
	}
	return txn.Entry{Key: key, Value: string(kvs[0].Value), ModRevision: kvs[0].ModRevision}
}
