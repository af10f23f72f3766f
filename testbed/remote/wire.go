package remote

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

// The operations that the parent asks for.
const (
	opAcquire = "acquire"
	opTry     = "try"
	opCancel  = "cancel" // ends the context of the call with this ID; no answer
	opRelease = "release"
	opErr     = "err"
	opClose   = "close"
)

// A call goes from the parent to the child, one JSON object a line.
type call struct {
	ID   uint64          `json:"id"`
	Op   string          `json:"op"`
	Req  *locker.Request `json:"req,omitempty"`
	Lock uint64          `json:"lock,omitempty"` // of release and err
	// Expired is the context of a release that was called under one that had
	// ended.
	Expired bool `json:"expired,omitempty"`
}

// A message goes from the child to the parent: the answer to the call with
// that ID, or, with ID 0, news about a lock or the greeting.
type message struct {
	ID       uint64     `json:"id,omitempty"`
	Ready    bool       `json:"ready,omitempty"`
	Lock     *lockState `json:"lock,omitempty"`    // acquired
	Ended    uint64     `json:"ended,omitempty"`   // this lock ended, see Err
	Renewed  uint64     `json:"renewed,omitempty"` // the hold with this token was renewed
	Name     string     `json:"name,omitempty"`    // of Renewed
	Deadline time.Time  `json:"deadline,omitzero"` // of Renewed
	Err      *wireError `json:"err,omitempty"`
}

type lockState struct {
	Handle   uint64        `json:"handle"`
	Name     string        `json:"name"`
	Owner    string        `json:"owner"`
	Token    uint64        `json:"token"`
	TTL      time.Duration `json:"ttl"`
	Deadline time.Time     `json:"deadline"`
}

// kinds are the errors that errors.Is finds again on the other side.
var kinds = map[string]error{
	"held": locker.ErrHeld, "not held": locker.ErrNotHeld, "lost": locker.ErrLost,
	"released": locker.ErrReleased, "closed": locker.ErrClosed, "invalid": locker.ErrInvalid,
	"unavailable": locker.ErrUnavailable, "canceled": context.Canceled,
	"deadline": context.DeadlineExceeded, "unsupported": errors.ErrUnsupported,
}

// A wireError carries what errors.Is and errors.As can tell about an error.
type wireError struct {
	Text  string            `json:"text"`
	Kinds []string          `json:"kinds,omitempty"`
	Held  *locker.HeldError `json:"held,omitempty"`
	Lost  *wireLost         `json:"lost,omitempty"`
}

type wireLost struct {
	Name   string            `json:"name"`
	Token  uint64            `json:"token"`
	Reason locker.LostReason `json:"reason"`
	At     time.Time         `json:"at"`
	Err    *wireError        `json:"err,omitempty"`
}

func encodeError(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	for name, kind := range kinds {
		if errors.Is(err, kind) {
			w.Kinds = append(w.Kinds, name)
		}
	}
	if held, ok := errors.AsType[*locker.HeldError](err); ok {
		w.Held = held
	}
	if lost, ok := errors.AsType[*locker.LostError](err); ok {
		w.Lost = &wireLost{Name: lost.Name, Token: lost.Token, Reason: lost.Reason, At: lost.At, Err: encodeError(lost.Err)}
	}
	return w
}

func (w *wireError) decode() error {
	if w == nil {
		return nil
	}
	e := &remoteError{text: w.Text}
	for _, name := range w.Kinds {
		e.kinds = append(e.kinds, kinds[name])
	}
	if w.Held != nil {
		e.typed = append(e.typed, w.Held)
	}
	if w.Lost != nil {
		e.typed = append(e.typed, &locker.LostError{
			Name: w.Lost.Name, Token: w.Lost.Token, Reason: w.Lost.Reason,
			At: w.Lost.At, Err: w.Lost.Err.decode(),
		})
	}
	return e
}

// A remoteError is an error of the other process.
type remoteError struct {
	text  string
	kinds []error // what it is, for errors.Is
	typed []error // what it wraps, for errors.As
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Is(target error) bool {
	for _, kind := range e.kinds {
		if kind == target {
			return true
		}
	}
	return false
}

func (e *remoteError) Unwrap() []error { return e.typed }
