package broken

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lockerlib/locker/conformance"
)

// errLost says that a request got lost.
var errLost = errors.New("broken: the request got lost")

// A link carries the calls of one client to the server. What it swallows never
// arrives; the caller waits until its context ends.
type link struct {
	door int // the member of a cluster to which it leads, or anyDoor

	mu      sync.Mutex // guards all below
	cut     conformance.Direction
	up      time.Duration
	down    time.Duration
	drop    int
	lost    int64 // answers that drop has kept back
	crashed bool
	stopped chan struct{} // not nil while the process is stopped
	conn    connection
	ended   context.Context // after which nothing is on its way any more
	end     context.CancelFunc
}

func newLink() *link {
	l := &link{door: anyDoor}
	l.ended, l.end = context.WithCancel(context.Background())
	return l
}

func (l *link) blocked(d conformance.Direction) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crashed || l.cut&d != 0
}

func (l *link) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// call runs f at the server. It is nil only if the answer came back. A server
// that cannot carry it out may say so instead. After the deadline nobody waits
// for the answer, if there is one.
func (l *link) call(ctx context.Context, deadline time.Time, s *server, f func(*server)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.requests.Add(1)
	l.mu.Lock()
	up, down := l.up, l.down
	l.mu.Unlock()
	if l.blocked(conformance.Up) {
		return waitUntil(ctx, nil, deadline)
	}
	if err := l.meets(ctx, deadline); err != nil {
		return err
	}
	var refusal error // to be read when answered
	arrive := func(at *server, err error) (answered bool) {
		if errors.Is(err, errLost) {
			return false
		}
		if refusal = err; err == nil {
			f(at)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.drop > 0 {
			l.drop--
			l.lost++
			return false
		}
		return !l.crashed && l.cut&conformance.Down == 0
	}
	if at, standing, err := s.standing(l.door); up+down == 0 && standing == nil {
		if !arrive(at, err) {
			return waitUntil(ctx, nil, deadline)
		}
		if err := l.reads(ctx, deadline); err != nil {
			return err
		}
		return refusal
	}
	// On a slow link, and at a server that stands still, the request goes on
	// when its sender has given up.
	answered := make(chan struct{})
	go func() {
		if wait(l.ended, nil, up) == nil && !l.blocked(conformance.Up) && arrive(l.reach(s)) && wait(l.ended, nil, down) == nil {
			close(answered)
		}
	}()
	if err := waitUntil(ctx, answered, deadline); err != nil {
		return err
	}
	if err := l.reads(ctx, deadline); err != nil {
		return err
	}
	return refusal
}

// reach waits while the server stands still.
func (l *link) reach(s *server) (*server, error) {
	for {
		at, standing, err := s.standing(l.door)
		switch {
		case standing == nil:
			return at, err
		case wait(l.ended, standing, -1) != nil:
			return nil, errLost
		}
	}
}

// waitUntil waits for c. The end of ctx and the deadline, if there is one, are
// errors.
func waitUntil(ctx context.Context, c <-chan struct{}, deadline time.Time) error {
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	return wait(ctx, c, -1)
}

// wait waits for c, for d (if it is not negative), or for the end of ctx, which
// is an error.
func wait(ctx context.Context, c <-chan struct{}, d time.Duration) error {
	return waitEither(ctx, c, nil, d)
}

// waitEither is wait for one of two.
func waitEither(ctx context.Context, c, other <-chan struct{}, d time.Duration) error {
	var timer <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-c:
		return nil
	case <-other:
		return nil
	case <-timer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
