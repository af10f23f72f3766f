package locker

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Status is what the server knows about a name that is held.
type Status struct {
	Name        string
	Holder      Holder
	Waiters     []Waiter // in the order of the queue; List leaves it nil
	WaiterCount int
}

// An Inspector is a Locker that can tell who holds a name. See Inspect.
type Inspector interface {
	Inspect(ctx context.Context, name string) (Status, error)
}

// A Lister is a Locker that can enumerate the names that are held. See List.
type Lister interface {
	List(ctx context.Context, prefix string) iter.Seq2[Status, error]
}

// A Breaker is a Locker that can end the hold of another. See Break.
type Breaker interface {
	Break(ctx context.Context, name string, token uint64) error
}

// Inspect returns who holds name and who waits for it, by one consistent read
// of the server; how long the hold has left may be asked for after it. It is ErrNotHeld if nobody holds it, and wraps
// errors.ErrUnsupported if the backend cannot tell. What it says may be over
// when it returns.
func Inspect(ctx context.Context, l Locker, name string) (Status, error) {
	if ctx == nil {
		return Status{}, invalidf("the context is nil")
	}
	if err := CheckName(name); err != nil {
		return Status{}, err
	}
	i, ok := As[Inspector](l)
	if !ok {
		return Status{}, unsupported(l, "inspect locks")
	}
	return i.Inspect(ctx, name)
}

// List yields the names that are held and begin with prefix ("" for all), in no
// promised order, with the number of waiters but not the waiters. It reads in
// pages: a hold that begins or ends meanwhile may or may not be seen. An error
// ends the sequence. It is errors.ErrUnsupported if the backend cannot tell.
func List(ctx context.Context, l Locker, prefix string) iter.Seq2[Status, error] {
	fail := func(err error) iter.Seq2[Status, error] {
		return func(yield func(Status, error) bool) { yield(Status{}, err) }
	}
	if ctx == nil {
		return fail(invalidf("the context is nil"))
	}
	s, ok := As[Lister](l)
	if !ok {
		return fail(unsupported(l, "list locks"))
	}
	return s.List(ctx, prefix)
}

// Break ends the hold of name that has token, whoever holds it, as if its lease
// had run out: its holder is told as soon as the server can, and the next
// waiter gets the name with a greater token. It is ErrNotHeld if that hold is
// not current, so that a late Break never hits a successor.
//
// The former holder may be in the middle of its work: break a lock only when
// you know that it is not, or when every write is fenced or guarded.
func Break(ctx context.Context, l Locker, name string, token uint64) error {
	if ctx == nil {
		return invalidf("the context is nil")
	}
	if err := CheckName(name); err != nil {
		return err
	}
	b, ok := As[Breaker](l)
	if !ok {
		return unsupported(l, "break locks")
	}
	return b.Break(ctx, name, token)
}

func unsupported(l Locker, what string) error {
	if l == nil {
		return invalidf("the Locker is nil")
	}
	return fmt.Errorf("locker: %T cannot %s: %w", l, what, errors.ErrUnsupported)
}
