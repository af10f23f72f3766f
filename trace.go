package locker

import "time"

// A Trace is a set of hooks on the life of the holds of one Locker, in the
// manner of net/http/httptrace. Any of them may be nil. They are called
// synchronously, from whichever goroutine the event happened in, and must
// return quickly and not call back into the Locker or Lock. Lost alone comes
// from a goroutine of its own, because a loss waits for nobody.
//
// For each Acquire or TryAcquire that returned a Lock, Acquired is called once,
// and exactly one of Lost or Released per hold (not per level). Of one hold they
// come in the order in which they happened, except that Lost may overtake the
// Acquired of a hold that is lost at once, and may come after the Acquired of
// the next one: tell holds apart by their tokens.
type Trace struct {
	// Waiting is called when an Acquire finds that it must wait, at most once
	// per call. Holder may be partly zero.
	Waiting func(name string, holder Holder)
	// Acquired is called just before a Lock is returned.
	Acquired func(AcquiredInfo)
	// Renewed is called for each hold when a renewal was answered in time.
	Renewed func(name string, token uint64, deadline time.Time)
	// RenewFailed is called for each hold when an attempt failed; renewal goes
	// on until the deadline.
	RenewFailed func(name string, token uint64, err error)
	// Lost is called when a hold ended without Release.
	Lost func(*LostError)
	// Released is called when the last level of a hold was released; err is
	// what Release returned.
	Released func(name string, token uint64, err error)
}

// AcquiredInfo describes a hold, or a level of one, that was just acquired.
type AcquiredInfo struct {
	Name      string
	Token     uint64
	TTL       time.Duration
	Waited    time.Duration // from the call of Acquire
	Reentered bool          // a further level of a hold that the owner had
}
