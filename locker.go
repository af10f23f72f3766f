package locker

import (
	"context"
	"time"
)

// A Locker hands out named, leased, mutually exclusive locks from one backend.
//
// A Locker is safe for concurrent use, and goroutines that share one exclude
// each other exactly as processes do, unless they re-enter on purpose (see
// [WithReentry] and [Reentrant]). The interface never gains a method; what a
// backend can do beyond it is found with [As].
type Locker interface {
	// Acquire waits until the caller holds name, and returns the hold.
	//
	// It waits for at most as long as ctx and [WithMaxWait] allow. Waiters of
	// one Locker are served in the order of their calls; waiters of several
	// Lockers in the order in which the server queued them, where the backend
	// has a queue.
	//
	// Acquire returns either a Lock or an error, never both and never neither.
	// When it fails it leaves nothing behind that outlives one TTL, also when
	// the server carries the request out late. ctx bounds only the call: the
	// hold does not end with it.
	//
	// Errors: the cause and the error of ctx; *HeldError (is ErrHeld) when the
	// patience of WithMaxWait is used up; ErrUnavailable when the server could
	// not be asked for the longer of the TTL and ten seconds, or when its
	// answer took so long that the hold was already over; ErrInvalid for a bad
	// name or option, before anything is sent; ErrClosed; and what the server
	// says that trying again does not mend, such as a wrong password, missing
	// rights or no room, which matches none of these.
	Acquire(ctx context.Context, name string, opts ...Option) (Lock, error)

	// TryAcquire returns the hold of name if it can be had at once. It never
	// waits for another holder, only for the answer of the server.
	//
	// When somebody holds the name, or stands in its queue, the error is a
	// *HeldError (is ErrHeld), and nothing was left on the server. ErrHeld is
	// returned for no other reason: a server that does not answer is
	// ErrUnavailable after ten seconds, or the error of ctx if that ends first.
	// A claim that fails is not repeated: one reset of the connection is
	// ErrUnavailable at once, and what the claim may have left is taken back.
	// Try again, or call Acquire, which repeats it.
	TryAcquire(ctx context.Context, name string, opts ...Option) (Lock, error)

	// Close ends every live hold as lost (ErrLost and ErrClosed both match),
	// then frees them on the server, wakes every waiter with ErrClosed, and
	// returns everything that the Locker took: goroutines, connections, leases,
	// subscriptions. It does not close a client that the caller passed in.
	//
	// Close may be called at any time, beside every other call, and again. It
	// takes at most about five seconds; what an unreachable server still keeps
	// by then expires there.
	Close() error
}

// A Lock is one hold, or one level of a re-entrant hold.
//
// A Lock is safe for concurrent use. The interface never gains a method.
type Lock interface {
	// Name returns the name that is held, as given to Acquire.
	Name() string

	// Owner returns the owner given by WithReentry or Reentrant, or "".
	Owner() string

	// Token returns the fencing token of the hold: greater than 0, less than
	// 2^53, and greater than that of every earlier hold of the name, over
	// release, expiry, break and a restart of the server. It stays the same
	// while the hold is re-entered and renewed. Where a backend cannot keep
	// this (data restored or lost), its package says so.
	Token() uint64

	// TTL returns the lease as the server granted it, which may be longer than
	// asked: a backend rounds up to what it can keep.
	TTL() time.Duration

	// Deadline returns until when the hold is certain if no renewal succeeds
	// from now on. It is a snapshot that renewals move; Err is the authority.
	Deadline() time.Time

	// Done returns a channel that is closed once, when this level of the hold
	// ends, released or lost. In a running process it closes before the server
	// can give the name to somebody else; in one that was stopped or suspended
	// for longer than that, within 100 ms after it runs again.
	Done() <-chan struct{}

	// Err returns nil while the hold is held. After that it returns ErrReleased
	// or a *LostError (is ErrLost), the same for ever. It reads the clock and
	// asks nobody, so it is exact at the instant of the call even if the
	// process was stopped just before, or on Linux its machine was suspended. A
	// non-nil Err means that Done is closed.
	Err() error

	// Release gives this level up, and the name when it was the last level.
	//
	// nil means that the hold lasted to the end. ErrReleased means that this
	// level was released before. ErrLost means that the hold was over before
	// Release got to it: what it was to protect is in doubt. Any other error
	// means that the hold lasted to the end and only the cleanup is open; it
	// may be retried, goes on in the background, and what remains expires with
	// the TTL.
	//
	// From the call on nothing renews the hold, and Err gives ErrReleased.
	// Release works under a ctx that has ended: it then waits for up to one
	// second for the answer. It returns by the Deadline, or within a second if
	// it is repeated later, does not block on a lost hold, and never frees
	// another hold, whoever's it is.
	Release(ctx context.Context) error
}
