package locker

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// One state, one name. Match them with errors.Is; the typed errors below carry
// what a caller may want to show.
var (
	// ErrHeld: somebody else holds the name, or stands in its queue.
	ErrHeld = errors.New("locker: held by another")
	// ErrNotHeld: nobody holds the name (or not under that token).
	ErrNotHeld = errors.New("locker: not held")
	// ErrLost: the hold ended without Release.
	ErrLost = errors.New("locker: lock lost")
	// ErrReleased: this level of the hold was released.
	ErrReleased = errors.New("locker: lock released")
	// ErrClosed: the Locker was closed.
	ErrClosed = errors.New("locker: locker closed")
	// ErrInvalid: a name, option or URL that no backend would accept; nothing
	// was sent.
	ErrInvalid = errors.New("locker: invalid argument")
	// ErrUnavailable: the backend could not be asked, or did not answer in
	// time. The backend's own error is wrapped beside it.
	ErrUnavailable = errors.New("locker: backend unavailable")
)

// A Holder describes a hold as the server knows it. Fields that a backend or an
// answer does not know are zero.
type Holder struct {
	Client    string        // identity of the Locker, see WithIdentity
	Owner     string        // owner of a re-entrant hold
	Metadata  string        // see WithMetadata
	Token     uint64        // fencing token
	Since     time.Time     // when the hold began, by the server's clock
	Remaining time.Duration // until the lease ends if nobody renews it
}

// A Waiter describes a client in the queue of a name. Goroutines of one Locker
// wait as one.
type Waiter struct {
	Client   string
	Owner    string
	Metadata string
	Since    time.Time // when it queued up, by the server's clock
}

// HeldError says that a name could not be had because of somebody else. It
// matches ErrHeld. Holder and Waiters come from the same answer of the server
// as the refusal and may be partly zero; a refusal because of a hold of the same
// Locker asks nobody, and its Waiters are those that this Locker knows of.
type HeldError struct {
	Name    string
	Holder  Holder
	Waiters int // clients in the queue
}

// Error names the lock, and who holds it as far as it is known.
func (e *HeldError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "locker: %q is held", e.Name)
	if e.Holder.Client != "" {
		fmt.Fprintf(&b, " by %q", e.Holder.Client)
	}
	var more []string
	if e.Holder.Metadata != "" {
		more = append(more, fmt.Sprintf("metadata %q", e.Holder.Metadata))
	}
	if e.Holder.Token != 0 {
		more = append(more, fmt.Sprintf("token %d", e.Holder.Token))
	}
	if e.Waiters > 0 {
		more = append(more, fmt.Sprintf("%d waiting", e.Waiters))
	}
	if len(more) > 0 {
		b.WriteString(" (" + strings.Join(more, ", ") + ")")
	}
	return b.String()
}

// Is makes a HeldError match ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// A LostReason says how a hold ended without Release.
type LostReason int

// The ways to lose a hold.
const (
	// LostExpired: the lease ran out by the client's clock before a renewal
	// succeeded, or the server said that it had run out.
	LostExpired LostReason = iota + 1
	// LostBroken: somebody broke the lock, see Break.
	LostBroken
	// LostEvicted: the server no longer has the hold, and nobody is known to
	// have broken it: data was deleted, evicted or lost.
	LostEvicted
	// LostClosed: the Locker was closed.
	LostClosed
)

// String returns the reason in one word.
func (r LostReason) String() string {
	switch r {
	case LostExpired:
		return "expired"
	case LostBroken:
		return "broken"
	case LostEvicted:
		return "evicted"
	case LostClosed:
		return "closed"
	}
	return fmt.Sprintf("LostReason(%d)", int(r))
}

// LostError says that a hold ended without Release. It matches ErrLost, and
// what Err wraps: ErrClosed for LostClosed, the last failure of a renewal for
// LostExpired where there was one.
type LostError struct {
	Name   string
	Token  uint64
	Reason LostReason
	At     time.Time // when this client learned of it
	Err    error     // what led to it, or nil
}

// Error names the lock, the reason and what led to it.
func (e *LostError) Error() string {
	s := fmt.Sprintf("locker: lost %q (token %d): %s", e.Name, e.Token, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is makes a LostError match ErrLost.
func (e *LostError) Is(target error) bool { return target == ErrLost }

// Unwrap returns what led to the loss.
func (e *LostError) Unwrap() error { return e.Err }

// ReleaseError is returned by Do and TryDo when the work is done and was
// protected to its end, and only the cleanup of the lock failed. The hold
// expires with its TTL.
type ReleaseError struct {
	Name string
	Err  error
}

// Error names the lock and why it could not be released.
func (e *ReleaseError) Error() string {
	return fmt.Sprintf("locker: %q: the work is done, releasing the lock failed: %v", e.Name, e.Err)
}

// Unwrap returns why the release failed.
func (e *ReleaseError) Unwrap() error { return e.Err }

// invalidf makes an ErrInvalid that says what was wrong.
func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
