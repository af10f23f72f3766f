package broken

import (
	"context"
	"sync"
	"time"

	"github.com/lockerlib/locker/conformance"
)

// A link carries the calls of one client to the server. What it swallows never
// arrives; the caller waits until its context ends.
type link struct {
	mu      sync.Mutex // guards all below
	cut     conformance.Direction
	up      time.Duration
	down    time.Duration
	drop    int
	lost    int64 // answers that drop has kept back
	crashed bool
	stopped chan struct{}   // not nil while the process is stopped
	ended   context.Context // after which nothing is on its way any more
	end     context.CancelFunc
}

func newLink() *link {
	l := new(link)
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

// call runs f at the server. It is nil only if the answer came back.
func (l *link) call(ctx context.Context, s *server, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.requests.Add(1)
	l.mu.Lock()
	up, down := l.up, l.down
	l.mu.Unlock()
	if l.blocked(conformance.Up) {
		return wait(ctx, nil, -1)
	}
	arrived := func() bool {
		if l.blocked(conformance.Up) || !l.reaches(s) {
			return false
		}
		f()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.drop > 0 {
			l.drop--
			l.lost++
			return false
		}
		return !l.crashed && l.cut&conformance.Down == 0
	}
	if standing, _ := s.standing(); up+down == 0 && standing == nil {
		if !arrived() {
			return wait(ctx, nil, -1)
		}
		return nil
	}
	// On a slow link, and at a server that stands still, the request goes on
	// when its sender has given up.
	answered := make(chan struct{})
	go func() {
		if wait(l.ended, nil, up) == nil && arrived() && wait(l.ended, nil, down) == nil {
			close(answered)
		}
	}()
	return wait(ctx, answered, -1)
}

// reaches waits while the server stands still, and reports false if the request
// gets lost there.
func (l *link) reaches(s *server) bool {
	for {
		standing, lost := s.standing()
		switch {
		case lost:
			return false
		case standing == nil:
			return true
		case wait(l.ended, standing, -1) != nil:
			return false
		}
	}
}

// wait waits for c, for d (if it is not negative), or for the end of ctx, which
// is an error.
func wait(ctx context.Context, c <-chan struct{}, d time.Duration) error {
	var timer <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-c:
		return nil
	case <-timer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
