package locker

import (
	"context"
	"crypto/rand"
	"time"
	"unicode/utf8"
)

// Limits that hold for every backend.
const (
	DefaultTTL     = 15 * time.Second
	MaxTTL         = 24 * time.Hour // longer leases are ErrInvalid: nobody waits a day for a dead holder
	MaxNameLen     = 512            // bytes
	MaxOwnerLen    = 512            // bytes
	MaxMetadataLen = 4096           // bytes
)

// An Option tunes one Acquire or TryAcquire. An option never changes who
// excludes whom. Options are made by the functions of this package; a nil
// Option is ErrInvalid.
type Option interface{ apply(*Request) error }

type optionFunc func(*Request) error

func (f optionFunc) apply(r *Request) error { return f(r) }

// A Request is what the name, the context and the options of one Acquire
// resolve to. It is for implementers of Locker.
type Request struct {
	Name       string
	TTL        time.Duration // greater than 0
	MaxWait    time.Duration // only if HasMaxWait
	HasMaxWait bool
	Metadata   string
	Owner      string // "": does not re-enter
}

// Resolve checks name and options and returns what they add up to. Later
// options override earlier ones, and WithReentry overrides Reentrant. Every
// error is ErrInvalid.
func Resolve(ctx context.Context, name string, opts ...Option) (Request, error) {
	r := Request{TTL: DefaultTTL}
	if err := r.resolve(ctx, name, nil, opts); err != nil {
		return Request{}, err
	}
	return r, nil
}

func (r *Request) resolve(ctx context.Context, name string, defaults, opts []Option) error {
	if ctx == nil {
		return invalidf("the context is nil")
	}
	if err := CheckName(name); err != nil {
		return err
	}
	r.Name = name
	if owner, ok := ctx.Value(ownerKey{}).(string); ok {
		r.Owner = owner
	}
	if err := r.apply(defaults); err != nil {
		return err
	}
	return r.apply(opts)
}

func (r *Request) apply(opts []Option) error {
	for _, o := range opts {
		if o == nil {
			return invalidf("an Option is nil")
		}
		if err := o.apply(r); err != nil {
			return err
		}
	}
	return nil
}

// CheckName returns ErrInvalid unless name may name a lock: any UTF-8 of 1 to
// 512 bytes. Two names are the same only if their bytes are.
func CheckName(name string) error {
	switch {
	case name == "":
		return invalidf("the lock name is empty")
	case len(name) > MaxNameLen:
		return invalidf("the lock name has %d bytes, at most %d are allowed", len(name), MaxNameLen)
	case !utf8.ValidString(name):
		return invalidf("the lock name is not valid UTF-8")
	}
	return nil
}

// WithTTL asks for a lease of d: how long the server keeps the hold when the
// client dies. The default is 15 s. A backend rounds up to what it can keep and
// says so in Lock.TTL. Zero, a negative and more than 24 h are ErrInvalid.
//
// Renewal runs on its own at a third of the TTL, so the TTL need not be longer
// than the work: it is how long others wait for a crashed holder, and how long
// the server may be out of reach before a healthy holder loses its hold.
func WithTTL(d time.Duration) Option {
	return optionFunc(func(r *Request) error {
		if d <= 0 || d > MaxTTL {
			return invalidf("the TTL is %v, it must be greater than 0 and at most %v", d, MaxTTL)
		}
		r.TTL = d
		return nil
	})
}

// WithMaxWait sets the patience of Acquire: after d it fails with *HeldError if
// the server last said that the name is held, and with what the backend said
// otherwise. Unlike a deadline of the context it tells these apart. 0 waits for
// one answer only; a negative is ErrInvalid. TryAcquire ignores it.
func WithMaxWait(d time.Duration) Option {
	return optionFunc(func(r *Request) error {
		if d < 0 {
			return invalidf("the maximum wait is %v, it must not be negative", d)
		}
		r.MaxWait, r.HasMaxWait = d, true
		return nil
	})
}

// WithMetadata attaches a text of at most 4096 bytes of UTF-8 to the hold, for
// others to read in Inspect, List and HeldError. It decides nothing. It is
// stored on the server as it is: keep secrets out of it.
func WithMetadata(s string) Option {
	return optionFunc(func(r *Request) error {
		if len(s) > MaxMetadataLen {
			return invalidf("the metadata has %d bytes, at most %d are allowed", len(s), MaxMetadataLen)
		}
		if !utf8.ValidString(s) {
			return invalidf("the metadata is not valid UTF-8")
		}
		r.Metadata = s
		return nil
	})
}

// WithReentry lets an Acquire enter a hold that the same owner already has on
// the same Locker. It is not a label: everybody who gives the same owner on
// that Locker enters together, goroutines included. n acquires need n releases,
// in any order. An owner is 1 to 512 bytes of UTF-8.
//
// Most callers want [Reentrant], whose owner nobody else can give by accident.
func WithReentry(owner string) Option {
	return optionFunc(func(r *Request) error {
		switch {
		case owner == "":
			return invalidf("the owner is empty")
		case len(owner) > MaxOwnerLen:
			return invalidf("the owner has %d bytes, at most %d are allowed", len(owner), MaxOwnerLen)
		case !utf8.ValidString(owner):
			return invalidf("the owner is not valid UTF-8")
		}
		r.Owner = owner
		return nil
	})
}

type ownerKey struct{}

// Reentrant returns a context whose call chain re-enters: every Acquire under
// it, or under a context derived from it, has one fresh, unguessable owner. A
// context that already carries an owner is returned as it is, so that a
// function in the middle of a chain may call it too.
//
// The owner travels with the context: goroutines that are started with it are
// part of the chain, and enter together.
func Reentrant(ctx context.Context) context.Context {
	if ctx == nil {
		return nil // Acquire answers ErrInvalid
	}
	if _, ok := ctx.Value(ownerKey{}).(string); ok {
		return ctx
	}
	return context.WithValue(ctx, ownerKey{}, "chain-"+rand.Text())
}
