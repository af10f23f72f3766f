// Package memtxn keeps transactional keys in an in-memory lock server: the
// reference for the stores of txn, and the fake that applications test with.
package memtxn

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
)

// A Server is what a Store needs of its server. *memlock.Server is one.
type Server interface {
	// Atomically calls fn once, in the caller's goroutine, while nothing else
	// can change what its View shows.
	Atomically(fn func(v View))
	// CheckGuard returns an error that says why, unless guard is the guard of a
	// hold on this server, current or not.
	CheckGuard(guard any) error
}

// A View is a Server as one call of Atomically sees it. It must not be used
// after that call.
type View interface {
	// Current reports whether guard is a guard of this server whose hold is
	// current, and keeps it so until the call of Atomically ends: a hold that
	// was found current cannot expire, be released or be broken meanwhile.
	Current(guard any) bool

	// Values is a bag in which each kind of store keeps its own state under a
	// key of its own unexported type. It lives as long as the server.
	Values() map[any]any
}

// A Store is a txn.Store in the memory of a Server. Every Store of one Server
// has the same keys. They live as long as the Server, and cost what they hold:
// a deleted key leaves nothing behind.
type Store struct{ server Server }

var _ txn.Store = (*Store)(nil)

// New returns the Store of server, a *memlock.Server as a rule. It takes
// nothing that would have to be given back.
func New(server Server) *Store { return &Store{server: server} }

// bag is the key of the data in Values.
type bag struct{}

type data struct {
	revision int64 // of the last commit that wrote; one counter for all keys
	entries  map[string]txn.Entry
}

// read is a missing key's Entry too.
func (d *data) read(key string) txn.Entry {
	e := d.entries[key]
	e.Key = key
	return e
}

// atomically runs fn on the data, unless ctx has ended: fn never blocks, so
// there is nothing to wait for.
func (s *Store) atomically(ctx context.Context, fn func(View, *data)) error {
	if s.server == nil {
		return fmt.Errorf("%w: memtxn.New was given a nil server", locker.ErrInvalid)
	}
	if err := ctx.Err(); err != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, err) {
			return fmt.Errorf("%w: %w", err, cause)
		}
		return context.Cause(ctx)
	}
	s.server.Atomically(func(v View) {
		d, ok := v.Values()[bag{}].(*data)
		if !ok {
			d = &data{entries: make(map[string]txn.Entry)}
			v.Values()[bag{}] = d
		}
		fn(v, d)
	})
	return nil
}

// CheckGuard implements txn.Store.
func (s *Store) CheckGuard(guard any) error {
	if s.server == nil {
		return fmt.Errorf("%w: memtxn.New was given a nil server", locker.ErrInvalid)
	}
	return s.server.CheckGuard(guard)
}

// Commit implements txn.Store. Its outcome is never unknown.
func (s *Store) Commit(ctx context.Context, c txn.Commit) (res txn.Result, err error) {
	if c.Empty() {
		return txn.Result{Succeeded: true}, nil
	}
	for _, g := range c.Guards {
		if err := s.CheckGuard(g); err != nil {
			return txn.Result{}, err
		}
	}
	asked := s.atomically(ctx, func(v View, d *data) {
		for _, g := range c.Guards {
			if !v.Current(g) {
				err = fmt.Errorf("txn: nothing was committed: %w: the server has given %v up", locker.ErrLost, g)
				return
			}
		}
		res = d.apply(c)
	})
	if asked != nil {
		return txn.Result{}, asked
	}
	return res, err
}

// apply judges the conditions, reads, and then writes.
func (d *data) apply(c txn.Commit) txn.Result {
	res := txn.Result{Succeeded: true}
	for _, cond := range c.If {
		res.Succeeded = res.Succeeded && cond.Holds(d.read(cond.Key))
	}
	ops := c.Then
	if !res.Succeeded {
		ops = c.Else
	}
	for _, op := range ops {
		if op.Kind == txn.OpGet {
			res.Reads = append(res.Reads, d.read(op.Key))
		}
	}
	next := d.revision + 1
	for _, op := range ops {
		switch op.Kind {
		case txn.OpPut:
			d.entries[op.Key] = txn.Entry{Key: op.Key, Value: op.Value, ModRevision: next}
			d.revision = next
		case txn.OpDelete:
			delete(d.entries, op.Key)
			d.revision = next
		}
	}
	return res
}

// Snapshot implements txn.Store.
func (s *Store) Snapshot() txn.Snapshot { return &snapshot{store: s} }

// A snapshot remembers what it has read. No old versions are kept, so each Read
// moves the instant forward to now, if all that was read before still stands.
type snapshot struct {
	store *Store
	seen  []txn.Entry
}

func (s *snapshot) Read(ctx context.Context, keys ...string) (entries []txn.Entry, err error) {
	asked := s.store.atomically(ctx, func(_ View, d *data) {
		for _, e := range s.seen {
			if d.read(e.Key).ModRevision != e.ModRevision {
				err = txn.ErrConflict
				return
			}
		}
		for _, k := range keys {
			entries = append(entries, d.read(k))
		}
	})
	if asked != nil {
		return nil, asked
	}
	s.seen = append(s.seen, entries...)
	return entries, err
}
