package foreign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/driver"
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
			_ = driver.TakeClock(&cfg, driver.SystemClock()) // the rig's, of no use here: a library reads the clock itself
			if err := cfg.Unused(); err != nil {
				return nil, err
			}
			client, err := l.open(u.Host, u.Query().Get("prefix"))
			if err != nil {
				return nil, fmt.Errorf("foreign: %s at %s: %w", l.Name, u.Host, err)
			}
			closing, begin := context.WithCancel(context.Background())
			return &adapter{own: client, cfg: cfg, library: l, closing: closing, begin: begin, live: make(map[*lock]bool)}, nil
		})
	}
}

// URL is what locker.Open takes to open the library.
func (l Library) URL(addr, prefix string) string {
	return l.Scheme + "://" + addr + "/?prefix=" + url.QueryEscape(prefix)
}

// own is a client of a library.
type own interface {
	acquire(ctx context.Context, r locker.Request, try bool) (*lock, error)
	Close() error
}

// adapter is a Locker over a library. Close is its own: no library closes the
// client that it was given.
type adapter struct {
	own
	cfg     locker.Config
	library Library
	closing context.Context // ends when Close begins
	begin   func()
	once    sync.Once

	calls sync.WaitGroup // to the library, in acquire
	mu    sync.Mutex     // guards live, and the beginning of calls against that of Close
	live  map[*lock]bool
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
	if !a.enter() {
		return nil, locker.ErrClosed
	}
	defer a.calls.Done()
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.closing, cancel)()
	l, err := a.acquire(call, r, try)
	switch {
	case err == nil:
		l.closing = a.closing
		a.remember(l)
		return l, nil
	case a.closing.Err() != nil:
		return nil, errors.Join(locker.ErrClosed, err)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return nil, err
}

// enter begins a call, which Close waits for. It is false after Close.
func (a *adapter) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing.Err() != nil {
		return false
	}
	a.calls.Add(1)
	return true
}

func (a *adapter) remember(l *lock) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.live, func(l *lock, _ bool) bool { return l.Err() != nil })
	a.live[l] = true
}

// Close releases what is held, as a program does that ends, and closes the
// client that the adapter opened, once. A call that is under way has been
// remembered, or has failed, when locks are released; one that the library does
// not let go is ended by the end of the client.
func (a *adapter) Close() (err error) {
	a.once.Do(func() {
		a.mu.Lock()
		a.begin()
		a.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		within(ctx, a.calls.Wait)
		a.mu.Lock()
		held := slices.Collect(maps.Keys(a.live))
		a.mu.Unlock()
		var releasing sync.WaitGroup
		for _, l := range held {
			if l.Err() == nil {
				l.loseBy(locker.LostClosed, locker.ErrClosed)
				releasing.Go(func() { _ = l.Release(ctx) }) // else its lease runs out
			}
		}
		within(ctx, releasing.Wait)
		err = a.own.Close()
	})
	return err
}

// within waits for wait as long as ctx lasts.
func within(ctx context.Context, wait func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		wait()
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
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
