// Package driver is for authors of backends. A backend implements the small
// interface Backend; New turns it into a locker.Locker.
//
// Everything that makes a lock safe on the client's side is written once, in
// the engine of this package: the local queue, re-entry, renewal, deadlines,
// loss, cancellation, undo and Close. A backend only knows how to claim a name,
// renew, release, and optionally how to push what it learns.
package driver

import (
	"context"
	"iter"
	"time"

	"github.com/lockerlib/locker"
)

// TokenShift is by how much a tenure is shifted to make a fencing token. The
// low bits are for holds that are handed over inside one client without asking
// the server.
const TokenShift = 6

// MaxTenure is the greatest tenure whose token stays below 2^53.
const MaxTenure = 1<<(53-TokenShift) - 1

// Token returns the fencing token of a tenure.
func Token(tenure uint64) uint64 { return tenure << TokenShift }

// Tenure returns the tenure that a fencing token belongs to.
func Tenure(token uint64) uint64 { return token >> TokenShift }

// A Backend is one client of a lock server.
//
// The server keeps, per name, a queue of claims. The first claim holds the
// name, the others wait. Each claim has a lease: the server drops a claim,
// holding or waiting, that was not renewed for its TTL.
//
// Methods are called concurrently. For one claim, the engine sends one Claim at
// a time; Renew and Release of a claim may run beside an earlier call on it
// whose answer is outstanding.
//
// Errors. An error that is ErrUnavailable (errors.Is) says that the server
// could not be asked or did not answer; the outcome is unknown, and the engine
// retries or undoes. Any other error is final (a wrong password, a full
// server): the engine undoes and reports it. An error names the address and
// what to do, and never contains a password. When ctx ends, return promptly
// with any error; the engine reports the cause of the context itself.
//
// Time. Every ctx has a deadline, which the engine sets: a request needs no
// timeout of its own. Leases are counted by the server's clock alone, read when
// the request has its turn there, not when it came or its transaction began. A
// lease that is computed from a client's time of day is wrong as soon as the
// clocks differ, which no check on one machine can see.
type Backend interface {
	// Claim puts the claim c into the queue of c.Name, or finds it there.
	//
	// It is idempotent by c.ID: repeated, it reports where that claim stands
	// now, with the same tenure, and never makes a second one. Repeating it
	// with another Owner, Metadata or TTL changes these and keeps the place.
	// If c.Try and the name has any other claim, nothing is written and the
	// state is Refused, unless c holds the name already. A repeated Claim counts
	// as a renewal: the engine takes the lease to last a full TTL from then on.
	//
	// A claim that the server has dropped since queues up anew, behind the
	// others; or the state is Gone, and the engine comes with another ID. It is
	// Gone too when the claim was undone, see Release.
	Claim(ctx context.Context, c Claim) (Answer, error)

	// Renew sets the lease of each claim to its full TTL from now, and answers
	// for each, in the order of claims, where it stands: one that is missing is
	// Gone, and no error. It extends only the claim with that ID, never brings
	// one back, also not one that ran out and was not cleared away yet, and never
	// shortens. A state of Unknown says that this one could not be asked, an
	// error that none could.
	Renew(ctx context.Context, claims []Ref) ([]Answer, error)

	// Release removes one claim, holding or waiting. found is false if the
	// server did not have it any more, its lease having run out or otherwise:
	// then the caller is told that the hold was lost. It never touches another
	// claim.
	//
	// If r.Uncertain, a Claim of this ID may still be on its way. Then Release
	// must see to it that this Claim comes to nothing even when the server
	// carries it out after Release was answered. A server that remembers the ID
	// for that does so for as long as a request can be under way, and at least
	// for r.TTL: nobody renews what slips through later, but it is in the way of
	// others until it runs out.
	Release(ctx context.Context, r Release) (found bool, err error)

	// Close gives back what the backend took for itself: connections, leases,
	// subscriptions, goroutines. It is called once, after the last other call
	// has returned. It does not close what the caller passed in.
	Close(ctx context.Context) error
}

// A Claim is a request for a name. Name, Owner and Metadata are any UTF-8 within
// the limits of package locker, control characters and NUL included; Client is
// any string. Two names are the same only if their bytes are.
type Claim struct {
	// ID is unique in the world. It consists of ASCII letters, digits and '-',
	// at most 48 of them.
	ID       string
	Name     string
	TTL      time.Duration // as asked; the backend rounds up to what it can keep
	Client   string        // identity, for others to read
	Owner    string        // for others to read
	Metadata string        // for others to read
	Try      bool          // do not queue
}

// A Ref names a claim: to Renew one that the server has confirmed.
type Ref struct {
	ID     string
	Name   string
	TTL    time.Duration // as granted
	Tenure uint64        // 0 while waiting
}

// A Release names a claim to remove.
type Release struct {
	Ref
	Uncertain bool
}

// A State says where a claim stands.
type State int

// The states of a claim.
const (
	Unknown State = iota // could not be asked (Renew only)
	Held                 // it holds the name
	Queued               // it waits
	Refused              // a try found the name taken; nothing was written
	Gone                 // the server does not have it
)

// An Answer says where a claim stands on the server.
type Answer struct {
	State State

	// Tenure of a Held claim: minted by the server in the same step as the
	// grant, greater than that of every earlier grant of the name, from 1 to
	// MaxTenure. The same on every answer about the same hold.
	Tenure uint64

	// TTL as granted (Claim only). From then on the engine renews by it.
	TTL time.Duration

	// From is when the request was sent from which the lease counts, by
	// Clock.SinceBoot. 0 means the request that is answered here. A backend
	// whose claims share a lease gives the last answered grant or renewal of
	// that lease (Claim only: Renew renews the lease itself).
	From time.Duration

	// Recheck asks the engine to repeat Claim after this time if nothing was
	// pushed before (Queued only). 0: push and renewal are enough, or, if the
	// backend does not push, the engine polls at its own pace: every eighth of
	// the TTL, at most 250 ms, and some jitter.
	Recheck time.Duration

	// Holder and Waiters tell who is in the way, as far as the answer knows
	// (Claim: Queued and Refused). Holder.Token is Token(tenure). Waiters does not
	// count the claim that is asked about. A backend that pushes must give Holder.Token
	// with Queued: the engine believes a push only if its tenure is greater, for
	// it may have been on its way since before the claim was queued anew.
	Holder  locker.Holder
	Waiters int

	// Reason and Err tell why a claim is Gone, as far as it is known. If Reason
	// is 0, the hold is reported as evicted.
	Reason locker.LostReason
	Err    error
}

// A Pusher is a Backend that learns of grants and losses without being asked.
// New calls Push once, before every other method. A claim may be pushed before
// the Claim that made it has returned.
type Pusher interface {
	Push(to Sink)
}

// A Sink takes what a backend learns. Its methods are safe for concurrent use,
// return quickly, and ignore IDs that are not (or no longer) known.
type Sink interface {
	// Granted: a waiting claim now holds, with this tenure. Its lease counts
	// from the last Claim or Renew that was answered for it. A push that is
	// late, or comes twice, does no harm; see Answer.Holder.
	Granted(id string, tenure uint64)
	// Gone: the server does not have the claim any more.
	Gone(id string, reason locker.LostReason, err error)
	// Ask: the claim may stand elsewhere now; the engine repeats Claim if it
	// is waiting, and renews at once if it holds.
	Ask(id string)
}

// An Inspector is a Backend that can tell who holds a name. It returns
// locker.ErrNotHeld if nobody does. Holder.Token is Token(tenure).
type Inspector interface {
	Inspect(ctx context.Context, name string) (locker.Status, error)
}

// A Lister is a Backend that can enumerate held names.
type Lister interface {
	List(ctx context.Context, prefix string) iter.Seq2[locker.Status, error]
}

// A Breaker is a Backend that can remove the claim that holds name if it has
// this tenure; else it returns locker.ErrNotHeld. It tells the former holder
// with the reason locker.LostBroken, as soon as it can: without a push by the
// answer to the next Renew, for which the server remembers it until the lease
// would have run out. A server that forgets it leaves the reason 0.
type Breaker interface {
	Break(ctx context.Context, name string, tenure uint64) error
}

// A Guarder is a Backend whose holds can guard a transaction of the same
// server. The value says, to the stores of that backend, how to check that
// this hold is still current.
type Guarder interface {
	Guard(r Ref) (any, error)
}

// A Guarded lock gives the guard of its hold, for package txn. It fails with
// the lock's Err if the lock has ended, and wraps errors.ErrUnsupported if the
// backend has no guards.
type Guarded interface {
	Guard() (any, error)
}
