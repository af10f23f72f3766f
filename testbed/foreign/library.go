package foreign

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
)

// A Library is a foreign lock library and what is known of it.
type Library struct {
	Name    string // for people
	Module  string // whose version is the library's
	Scheme  string // of URLs that locker.Open takes
	Servers string // the name of the server that it needs, as package servers has it

	// Key is the server's key of a held name; for etcd, what its keys begin with.
	Key func(prefix, name string) string

	// Withholds is what the library does not offer, with the reason, as in
	// conformance.Profile.
	Withholds map[conformance.Offer]string

	FIFO bool // waiters are served in order, by the library's documentation

	open func(addr, prefix string) (own, error)
}

// Libraries returns all of them.
func Libraries() []Library {
	return []Library{etcdMutex, redsyncLibrary, redislockLibrary, rueidisLibrary}
}

// The option that a library has none of is refused.
const (
	noOwner    = "a lock has no owner to re-enter by"
	noMetadata = "a lock holds no text of its user"
	noPatience = "patience is that of the context"
	noRenewal  = "the caller extends the lock"
	noNotice   = "nothing tells the holder"
	noTokens   = "a lock has no number that grows"
	noDeadline = "a lock does not tell until when it is valid"
)

func init() {
	for _, l := range Libraries() {
		locker.Register(l.Scheme, func(_ context.Context, rawURL string, opts ...locker.OpenOption) (locker.Locker, error) {
			u, err := url.Parse(rawURL)
			if err != nil {
				return nil, fmt.Errorf("foreign: %w", err)
			}
			cfg, err := locker.ResolveOpen(opts...)
			if err != nil {
				return nil, err
			}
			client, err := l.open(u.Host, u.Query().Get("prefix"))
			if err != nil {
				return nil, fmt.Errorf("foreign: %s at %s: %w", l.Name, u.Host, err)
			}
			return &adapter{own: client, cfg: cfg, library: l}, nil
		})
	}
}

// URL is what locker.Open takes to open the library.
func (l Library) URL(addr, prefix string) string {
	return l.Scheme + "://" + addr + "/?prefix=" + url.QueryEscape(prefix)
}

// own is a client of a library.
type own interface {
	acquire(ctx context.Context, r locker.Request, try bool) (locker.Lock, error)
	Close() error
}

// adapter is a Locker over a library.
type adapter struct {
	own
	cfg     locker.Config
	library Library
	closed  atomic.Bool
}

var _ locker.Locker = (*adapter)(nil)

func (a *adapter) Acquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return a.resolve(ctx, name, opts, false)
}

func (a *adapter) TryAcquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return a.resolve(ctx, name, opts, true)
}

// resolve refuses what the library has no counterpart for.
func (a *adapter) resolve(ctx context.Context, name string, opts []locker.Option, try bool) (locker.Lock, error) {
	r, err := a.cfg.Resolve(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	for offer, asked := range map[conformance.Offer]bool{
		conformance.OfferReentry:  r.Owner != "",
		conformance.OfferMetadata: r.Metadata != "",
		conformance.OfferPatience: r.HasMaxWait,
	} {
		if why, withheld := a.library.Withholds[offer]; asked && withheld {
			return nil, fmt.Errorf("%s: %s: %w", a.library.Name, why, errors.ErrUnsupported)
		}
	}
	if a.closed.Load() {
		return nil, locker.ErrClosed
	}
	l, err := a.acquire(ctx, r, try)
	switch {
	case err == nil:
		return l, nil
	case a.closed.Load():
		return nil, errors.Join(locker.ErrClosed, err)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return nil, err
}

// Close closes the client that the adapter opened, once.
func (a *adapter) Close() error {
	if a.closed.Swap(true) {
		return nil
	}
	return a.own.Close()
}

// held is the error of a try that the library refused with err.
func held(name string, err error) error {
	return &heldError{&locker.HeldError{Name: name}, err}
}

// heldError is a HeldError that keeps the library's own error.
type heldError struct {
	held *locker.HeldError
	own  error
}

func (e *heldError) Error() string {
	return strings.Join([]string{e.held.Error(), e.own.Error()}, ": ")
}
func (e *heldError) Unwrap() []error { return []error{e.held, e.own} }
