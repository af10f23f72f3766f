package broken

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
)

var (
	_ conformance.LossCounter = (*rig)(nil)
	_ conformance.Stocktaker  = (*rig)(nil)
	_ conformance.WallStepper = (*rig)(nil)
	_ conformance.Prefixer    = (*rig)(nil)
	_ conformance.Pauser      = (*rig)(nil)
	_ conformance.Restarter   = (*rig)(nil)
	_ conformance.Forgetter   = (*rig)(nil)
	_ conformance.Flusher     = (*rig)(nil)
)

// without names what a server that is a map cannot have done to it.
func without() map[conformance.Power]string {
	powers := make(map[conformance.Power]string)
	for _, p := range conformance.ServerPowers() {
		powers[p] = "the server is a map in this process"
	}
	delete(powers, conformance.PowerPause)
	delete(powers, conformance.PowerRestart)
	delete(powers, conformance.PowerForget)
	delete(powers, conformance.PowerFlush)
	return powers
}

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
	}
	for name := range maps.Clone(r.server.queues) {
		r.server.settle(name)
	}
	return nil
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
	for name := range maps.Clone(s.queues) {
		s.settle(name)
	}
	return nil
}

// RestartEmpty has it start with nothing.
func (r *rig) RestartEmpty(ctx context.Context) error {
	if err := r.FlushAll(ctx); err != nil {
		return err
	}
	return r.RestartServer(ctx)
}

// FlushAll deletes everything. Tokens of a right server go on, as those do that
// follow a clock.
func (r *rig) FlushAll(context.Context) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.queues)
	if s.flaw.tokensAreData || s.flaw.coarseTokens {
		clear(s.tokens)
	}
	return nil
}

// gives names what a server without a disk, whose data anybody may delete,
// cannot keep.
func gives() map[string]string {
	return map[string]string{
		"S4":   "the server has no disk",
		"S10b": "who deletes all data deletes the holds",
	}
}

// standing returns what to wait for before a request is carried out, and
// whether it gets lost.
func (s *server) standing() (until <-chan struct{}, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused, s.killed
}

// still reports whether the server does nothing by itself. mu is held.
func (s *server) still() bool { return s.paused != nil || s.killed }

// kept counts what flawed code keeps for names that nobody holds.
func (s *server) kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.counters)
}
