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
type Store struct {
	server Server
	send   func(ctx context.Context, apply func()) error
}

var _ txn.Store = (*Store)(nil)

// New returns the Store of server, a *memlock.Server as a rule. It takes
// nothing that would have to be given back.
func New(server Server) *Store {
	return Over(server, func(ctx context.Context, apply func()) error {
		// apply never blocks, so there is nothing to wait for.
		if ctx.Err() != nil {
			return contextError(ctx)
		}
		apply()
		return nil
	})
}

// Over returns the Store of server for a client whose link can fail. send is to
// carry apply out as one request. nil says that apply was called and has
// returned. After an error that is locker.ErrUnavailable, or that of ctx, it
// may have been called, may be called later, or never. apply is quick, and is
// to be called at most once. (*memlock.Client).Send is such a func.
func Over(server Server, send func(ctx context.Context, apply func()) error) *Store {
	return &Store{server: server, send: send}
}

func (s *Store) check(guards []any) error {
	if s.server == nil || s.send == nil {
		return fmt.Errorf("%w: memtxn: the server is nil", locker.ErrInvalid)
	}
	for _, g := range guards {
		if err := s.server.CheckGuard(g); err != nil {
			return err
		}
	}
	return nil
}

// atomically runs fn on the data in one request.
func (s *Store) atomically(ctx context.Context, fn func(View, *data)) error {
	return s.send(ctx, func() {
		s.server.Atomically(func(v View) {
			d, ok := v.Values()[bag{}].(*data)
			if !ok {
				d = &data{entries: make(map[string]txn.Entry)}
				v.Values()[bag{}] = d
			}
			fn(v, d)
		})
	})
}

// CheckGuard implements txn.Store.
func (s *Store) CheckGuard(guard any) error { return s.check([]any{guard}) }

// A step is a commit on its way. Its fields belong to Atomically: a request
// whose answer was lost may still come to them.
type step struct {
	commit txn.Commit
	done   bool // judged, and maybe applied; or aborted
	result txn.Result
	err    error

	aborted bool // must not be applied any more
}

func (st *step) apply(v View, d *data) {
	if st.done {
		return
	}
	st.done = true
	for _, g := range st.commit.Guards {
		if !v.Current(g) {
			st.err = fmt.Errorf("txn: nothing was committed: %w: the server has given %v up", locker.ErrLost, g)
			return
		}
	}
	st.result = d.apply(st.commit)
}

// Commit implements txn.Store. It stays unknown only if the link fails until
// ctx ends.
func (s *Store) Commit(ctx context.Context, c txn.Commit) (txn.Result, error) {
	if err := s.check(c.Guards); err != nil {
		return txn.Result{}, err
	}
	switch {
	case ctx.Err() != nil:
		return txn.Result{}, contextError(ctx)
	case c.Empty():
		return txn.Result{Succeeded: true}, nil
	}
	st := &step{commit: c}
	err := s.atomically(ctx, st.apply)
	if err != nil {
		return s.settle(ctx, st, err)
	}
	return st.result, st.err
}

// Snapshot implements txn.Store.
func (s *Store) Snapshot() txn.Snapshot { return &snapshot{store: s} }

// A snapshot remembers what it has read. No old versions are kept, so each Read
// moves the instant forward to now, if all that was read before still stands.
type snapshot struct {
	store *Store
	seen  []txn.Entry
}

func (s *snapshot) Read(ctx context.Context, keys ...string) ([]txn.Entry, error) {
	if err := s.store.check(nil); err != nil {
		return nil, err
	}
	// Each request has an answer of its own: one that was given up may still
	// write to it.
	type answer struct {
		entries []txn.Entry
		err     error
	}
	a := new(answer)
	seen := s.seen
	err := s.store.atomically(ctx, func(_ View, d *data) {
		for _, e := range seen {
			if d.read(e.Key).ModRevision != e.ModRevision {
				a.err = txn.ErrConflict
				return
			}
		}
		for _, k := range keys {
			a.entries = append(a.entries, d.read(k))
		}
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, contextError(ctx)
	case err != nil:
		return nil, err
	case a.err != nil:
		return nil, a.err
	}
	s.seen = append(s.seen, a.entries...)
	return a.entries, nil
}

func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
