package txn

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockerlib/locker"
)

// A Store is a key-value store with transactions: the small part that a backend
// implements, and that Update, View and If build on. Applications pass it
// around and call none of its methods.
//
// A Store is safe for concurrent use. Several Stores may be made for the same
// server; they see the same keys and are serialised against each other. The
// calls of a Store last as long as their ctx and the server allow.
type Store interface {
	// Snapshot returns a reader of one instant, which its first Read picks. It
	// takes nothing that would have to be given back.
	Snapshot() Snapshot

	// Commit carries c out in one atomic step, or not at all.
	//
	// In that step the guards come first: if one is not the current hold, the
	// error is locker.ErrLost. Then, if every condition holds, the operations
	// of Then are applied, else those of Else. Both gets and conditions see the
	// state before the step. A Commit with nothing in it asks nobody.
	//
	// Errors: locker.ErrInvalid, for what this server will never take;
	// locker.ErrUnavailable, if it could not be asked, and nothing was and ever
	// will be written; ErrUnknown (is ErrUnavailable too), if it may have been
	// or may still be. The cause of ctx, if that ended.
	Commit(ctx context.Context, c Commit) (Result, error)

	// CheckGuard returns nil if the guard of a lock, as driver.Guarded gives
	// it, is of the kind that Commit can check.
	CheckGuard(guard any) error
}

// A Snapshot reads keys as they were at one instant, which lies after the call
// of its first Read. It is not safe for concurrent use.
type Snapshot interface {
	// Read returns one Entry for each key, in the order of keys. It returns
	// ErrConflict if the instant cannot be read any more.
	Read(ctx context.Context, keys ...string) ([]Entry, error)
}

// An Entry is a key as a Store has it.
type Entry struct {
	Key   string
	Value string
	// ModRevision is the revision of the store that wrote the key last, or 0 if
	// the key is missing. Revisions only grow, and a key that is deleted and
	// made again never gets an earlier one back.
	ModRevision int64
}

// Exists reports whether the key was there.
func (e Entry) Exists() bool { return e.ModRevision > 0 }

// A Commit is one atomic step for a Store. Its keys have been checked with
// CheckKey, and each branch writes a key at most once.
type Commit struct {
	Guards []any
	If     []Cond
	Then   []Op
	Else   []Op
}

// Empty reports whether there is nothing to ask the server about.
func (c Commit) Empty() bool {
	return len(c.Guards) == 0 && len(c.If) == 0 && len(c.Then) == 0 && len(c.Else) == 0
}

// Writes reports whether either branch writes.
func (c Commit) Writes() bool { return writes(c.Then) || writes(c.Else) }

func writes(ops []Op) bool {
	for _, op := range ops {
		if op.Kind != OpGet {
			return true
		}
	}
	return false
}

// A Result is the answer to a Commit.
type Result struct {
	Succeeded bool    // the conditions held, and Then was applied
	Reads     []Entry // of the gets of the branch that was applied, in their order
}

// A Provider is a Locker whose server keeps keys too. See StoreOf.
type Provider interface {
	// TxnStore returns a Store on the server of the Locker. It is the same
	// one at each call, and is given back by the Close of the Locker.
	TxnStore() (Store, error)
}

// StoreOf returns the Store on the very server that l locks on, so that its
// transactions can be guarded by the locks of l. It works on wrapped Lockers
// (see locker.As), needs no import beyond that of the backend, and wraps
// errors.ErrUnsupported if the backend has no store. The Store must not be used
// after the Close of l.
//
// Keys are the keys of the server, as other programs see them: nothing is put
// in front of them. The keys in which the locks themselves are kept are
// refused with locker.ErrInvalid.
func StoreOf(l locker.Locker) (Store, error) {
	if l == nil {
		return nil, fmt.Errorf("%w: txn.StoreOf: the Locker is nil", locker.ErrInvalid)
	}
	p, ok := locker.As[Provider](l)
	if !ok {
		return nil, fmt.Errorf("txn: %T has no transactional store (etcd and memory have): %w", l, errors.ErrUnsupported)
	}
	s, err := p.TxnStore()
	if err != nil {
		return nil, fmt.Errorf("txn: the store of %T: %w", l, err)
	}
	return s, nil
}
