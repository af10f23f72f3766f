package broken

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
)

var (
	_ conformance.LossCounter  = (*rig)(nil)
	_ conformance.Stocktaker   = (*rig)(nil)
	_ conformance.WallStepper  = (*rig)(nil)
	_ conformance.Prefixer     = (*rig)(nil)
	_ conformance.Pauser       = (*rig)(nil)
	_ conformance.Restarter    = (*rig)(nil)
	_ conformance.Disconnecter = (*rig)(nil)
	_ conformance.Forgetter    = (*rig)(nil)
	_ conformance.Flusher      = (*rig)(nil)
)

func (r *rig) Lost(l locker.Locker) (n int64, err error) {
	err = r.disturb(l, func(w *link) { n = w.lost })
	return n, err
}

func (r *rig) Stock(context.Context) (int, error) { return len(r.server.left()) + r.server.kept(), nil }

func (r *rig) StepClient(l locker.Locker, d time.Duration) error {
	c, ok := l.(*client)
	if !ok {
		return errors.ErrUnsupported
	}
	c.stepped.Add(int64(d))
	return nil
}

// OpenUnder opens a client that puts prefix and name together in a way that
// can be taken apart again.
func (r *rig) OpenUnder(ctx context.Context, prefix string, opts ...locker.OpenOption) (locker.Locker, error) {
	l, err := r.Open(ctx, opts...)
	if c, ok := l.(*client); ok {
		c.prefix = prefix + "\x00"
		if c.flaw.joinsPrefix {
			c.prefix = prefix + "/"
		}
	}
	return l, err
}

// PauseServer has requests wait at the server, and time pass there unnoticed.
func (r *rig) PauseServer(context.Context) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if r.server.paused == nil {
		r.server.paused = make(chan struct{})
	}
	return nil
}

// ResumeServer lets it catch up.
func (r *rig) ResumeServer(context.Context) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if r.server.paused != nil {
		close(r.server.paused)
		r.server.paused = nil
		r.server.resumed()
	}
	r.server.settleAll()
	return nil
}

// DisconnectServer has requests wait on their way, as TCP does, while time passes
// at the server.
func (r *rig) DisconnectServer(context.Context) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if r.server.apart == nil {
		r.server.apart = make(chan struct{})
	}
	return nil
}

// ReconnectServer lets them arrive.
func (r *rig) ReconnectServer(context.Context) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if r.server.apart != nil {
		close(r.server.apart)
		r.server.apart, r.server.joined = nil, time.Now()
		r.server.tellAll()
	}
	return nil
}

// offline reports whether nobody reaches the server.
func (s *server) offline() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apart != nil
}

// KillServer has requests get lost at the server.
func (r *rig) KillServer(context.Context) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.killed = true
	return nil
}

// RestartServer has it start with all it had.
func (r *rig) RestartServer(context.Context) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = false
	if s.flaw.forgetsOnRestart {
		clear(s.queues)
	}
	s.settleAll()
	return nil
}

// RestartEmpty has it start with nothing.
func (r *rig) RestartEmpty(ctx context.Context) error {
	if err := r.FlushAll(ctx); err != nil {
		return err
	}
	r.server.restartedEmpty()
	return r.RestartServer(ctx)
}

// FlushAll deletes everything.
func (r *rig) FlushAll(context.Context) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed()
	clear(s.queues)
	clear(s.tokens)
	return nil
}

// gives names what a server cannot keep that has no disk, whose replica lags,
// which evicts what is in the way, and which tells the time by a clock that can
// be set.
func gives() map[string]string {
	return map[string]string{
		"S4":   "the server has no disk",
		"S9":   "the replica does not have what it was not told",
		"S10a": "the server evicts whatever it hits",
		"S10b": "who deletes all data deletes the holds",
		"S13":  "leases end by the server's time of day",
	}
}

// standing returns the server that carries out what comes in by a door, or what
// to wait for before that. A request that gets lost is errLost.
func (s *server) standing(door int) (at *server, until <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.killed:
		return nil, nil, errLost
	case s.paused != nil:
		return nil, s.paused, nil
	case s.apart != nil:
		return nil, s.apart, nil
	}
	at, err = s.through(door)
	return at, nil, err
}

// still reports whether the server does nothing by itself. mu is held.
func (s *server) still() bool { return s.paused != nil || s.killed || !s.led() }

// kept counts what flawed code keeps for names that nobody holds.
func (s *server) kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.counters)
}
