package driver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
)

const (
	// requestTimeout bounds one request whose caller set no nearer bound.
	requestTimeout = 10 * time.Second
	// minRequestBound is given to a claim however short its TTL is.
	minRequestBound = 200 * time.Millisecond
	// interruptGrace is what a Claim has left for its answer when something
	// about it was pushed.
	interruptGrace = 200 * time.Millisecond
	// undoPatience is how long a try that was refused waits for what this
	// client takes back at that moment, before it asks again.
	undoPatience = 500 * time.Millisecond
	// listTimeout bounds a whole List, the time of its consumer included.
	listTimeout = time.Minute
	// silenceFloor: an Acquire whose backend did not answer for the longer of
	// this and the TTL gives up.
	silenceFloor = 10 * time.Second
	// closeTimeout bounds Close.
	closeTimeout = 5 * time.Second
)

// Locker is the engine: it turns a Backend into a locker.Locker. Backends embed
// a *Locker, made by New, in their own type. The zero Locker is not usable; its
// methods fail with ErrInvalid.
type Locker struct {
	cfg     locker.Config
	backend Backend
	clock   Clock
	pushes  bool

	idPrefix string
	idSeq    atomic.Uint64

	shards   [slotShards]slotShard
	register *register
	gate     gate

	// closing ends what waits; halt ends also what cleans up.
	closing, halt              context.Context
	beginClosing, beginHalting context.CancelFunc

	onClose   func(context.Context)
	closeOnce sync.Once
	closeErr  error
}

var (
	_ locker.Locker    = (*Locker)(nil)
	_ locker.Inspector = (*Locker)(nil)
	_ locker.Lister    = (*Locker)(nil)
	_ locker.Breaker   = (*Locker)(nil)
)

// New makes a Locker of b. It takes b over: Close of the Locker closes it.
func New(cfg locker.Config, b Backend, clock Clock) *Locker {
	l := &Locker{
		cfg:      cfg,
		backend:  b,
		clock:    clock,
		idPrefix: rand.Text() + "-",
	}
	l.closing, l.beginClosing = context.WithCancel(context.Background())
	l.halt, l.beginHalting = context.WithCancel(context.Background())
	l.register = newRegister(l)
	l.gate.idle = make(chan struct{})
	if p, ok := b.(Pusher); ok {
		l.pushes = true
		p.Push(sink{l})
	}
	return l
}

// Identity returns how this Locker names itself to others.
func (l *Locker) Identity() string { return l.cfg.Identity }

// Acquire implements locker.Locker.
func (l *Locker) Acquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return l.acquire(ctx, name, opts, false)
}

// TryAcquire implements locker.Locker.
func (l *Locker) TryAcquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return l.acquire(ctx, name, opts, true)
}

func (l *Locker) acquire(ctx context.Context, name string, opts []locker.Option, try bool) (locker.Lock, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	req, err := l.cfg.Resolve(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx, name)
	}
	if !l.gate.enter() {
		return nil, closedError(name)
	}
	defer l.gate.leave()

	a := &attempt{l: l, ctx: ctx, req: req, try: try, began: l.clock.SinceBoot()}
	lock, err := a.run()
	if err != nil {
		return nil, err
	}
	return lock, nil
}

func (l *Locker) usable() error {
	if l == nil || l.backend == nil {
		return fmt.Errorf("%w: the Locker is nil or was not made by its constructor", locker.ErrInvalid)
	}
	return nil
}

// newID makes the ID of a claim: random per Locker, counted within it.
func (l *Locker) newID() string {
	return l.idPrefix + strconv.FormatUint(l.idSeq.Add(1), 36)
}

func closedError(name string) error {
	if name == "" {
		return locker.ErrClosed
	}
	return fmt.Errorf("%w: %q", locker.ErrClosed, name)
}

// contextError matches both the error of ctx and its cause.
func contextError(ctx context.Context, name string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err { //nolint:errorlint // a cause that wraps err says more than err
		return fmt.Errorf("locker: %q: %w", name, err)
	}
	return fmt.Errorf("locker: %q: %w: %w", name, err, cause)
}

// unavailable wraps what a backend said when it could not be asked.
func unavailable(name string, err error) error {
	if errors.Is(err, locker.ErrUnavailable) {
		return fmt.Errorf("locker: %q: %w", name, err)
	}
	return fmt.Errorf("%w: %q: %w", locker.ErrUnavailable, name, err)
}
