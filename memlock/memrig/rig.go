// Package memrig lets the conformance suite run against memlock.
package memrig

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/driver"
	"github.com/lockerlib/locker/memlock"
)

// Maker returns a maker of rigs, each of which is a memlock server of its own.
// In a testing/synctest bubble time costs nothing, so the lease is the usual
// one; outside of it the lease is short.
func Maker(bubble bool) conformance.Maker {
	p := conformance.Profile{
		Backend: "memory",
		Server:  "memlock in this process",
		TTL:     500 * time.Millisecond, // what a loaded machine can still keep alive
		Slack:   50 * time.Millisecond,  // what a loaded machine may make a timer wait
		FIFO:    true,
		Without: map[conformance.Power]string{
			conformance.PowerSpawn: "the server lives in this process, and so do its clients",
			conformance.PowerPlant: "the server keeps locks and nothing else",
		},
	}
	for _, power := range append(conformance.ServerPowers(), conformance.PowerPrefix) {
		if power == conformance.PowerNetwork {
			continue
		}
		p.Without[power] = "the server is a part of this process, and has neither disk nor prefixes"
	}
	if bubble {
		p.Server += ", in a bubble"
		p.TTL, p.Slack, p.Bubble = locker.DefaultTTL, time.Millisecond, true
	}
	return maker{p}
}

type maker struct{ profile conformance.Profile }

func (m maker) Profile() conformance.Profile { return m.profile }

func (m maker) Make(context.Context) (conformance.Rig, error) {
	return &rig{server: memlock.NewServer(), slept: make(map[*memlock.Client]*atomic.Int64), stepped: make(map[*memlock.Client]*atomic.Int64)}, nil
}

type rig struct {
	server *memlock.Server

	mu      sync.Mutex // guards what follows
	clients []*memlock.Client
	slept   map[*memlock.Client]*atomic.Int64
	stepped map[*memlock.Client]*atomic.Int64
	away    bool // the server is off its network
}

var (
	_ conformance.Rig      = (*rig)(nil)
	_ conformance.Linker   = (*rig)(nil)
	_ conformance.Crasher  = (*rig)(nil)
	_ conformance.Evictor  = (*rig)(nil)
	_ conformance.Observer = (*rig)(nil)
	_ conformance.Shared   = (*rig)(nil)

	_ conformance.Suspender   = (*rig)(nil)
	_ conformance.LossCounter = (*rig)(nil)
	_ conformance.Stocktaker  = (*rig)(nil)
	_ conformance.WallStepper = (*rig)(nil)
	_ conformance.Resetter    = (*rig)(nil)
	_ conformance.HalfOpener  = (*rig)(nil)
	_ conformance.Staller     = (*rig)(nil)
)

func (r *rig) Open(_ context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	slept, stepped, clock := new(atomic.Int64), new(atomic.Int64), driver.GoClock()
	awake, wall := clock.SinceBoot, clock.Now
	clock.Now = func() time.Time { return wall().Add(time.Duration(stepped.Load())) }
	clock.SinceBoot = func() time.Duration { return awake() + time.Duration(slept.Load()) }
	clock.Suspends = true
	c, err := r.server.Open(append([]locker.OpenOption{driver.WithClock(clock)}, opts...)...)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients = append(r.clients, c)
	r.slept[c], r.stepped[c] = slept, stepped
	if r.away {
		c.Cut(memlock.Both)
	}
	return c, nil
}

// Close ends all faults first, so that no client waits for an answer that
// cannot come.
func (r *rig) Close() error {
	r.mu.Lock()
	clients := r.clients
	r.clients = nil
	r.mu.Unlock()
	for _, c := range clients {
		c.Heal()
		c.DropReplies(0)
	}
	var errs []error
	for _, c := range clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (r *rig) Cut(l locker.Locker, d conformance.Direction) error {
	return disturb(l, func(c *memlock.Client) { c.Cut(direction(d)) })
}

func (r *rig) Heal(l locker.Locker) error {
	return disturb(l, (*memlock.Client).Heal)
}

func (r *rig) Delay(l locker.Locker, dir conformance.Direction, d time.Duration) error {
	return disturb(l, func(c *memlock.Client) { c.Delay(direction(dir), d) })
}

func (r *rig) DropReplies(l locker.Locker, n int) error {
	return disturb(l, func(c *memlock.Client) { c.DropReplies(n) })
}

func (r *rig) Lost(l locker.Locker) (n int64, err error) {
	err = disturb(l, func(c *memlock.Client) { n = c.Lost() })
	return n, err
}

func (r *rig) Crash(l locker.Locker) error {
	return disturb(l, (*memlock.Client).Crash)
}

// Suspend lets the clock that counts suspended time jump, as after a machine
// resumed; the server, on another machine so to speak, saw nothing of it.
func (r *rig) Suspend(l locker.Locker, d time.Duration) error {
	return disturb(l, func(c *memlock.Client) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.slept[c].Add(int64(d))
	})
}

// StepClient lets the time of day jump, as when somebody sets it.
func (r *rig) StepClient(l locker.Locker, d time.Duration) error {
	return disturb(l, func(c *memlock.Client) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stepped[c].Add(int64(d))
	})
}

// Stock counts what the server keeps.
func (r *rig) Stock(context.Context) (int, error) { return len(r.server.Residue()), nil }

func (r *rig) Evict(_ context.Context, name string) error { return r.server.Evict(name) }

func (r *rig) Residue(context.Context) ([]string, error) { return r.server.Residue(), nil }

func (r *rig) Requests() int64 { return r.server.Requests() }

// OpenShared: what the caller owns here is the server, which must serve on
// after one of its clients was closed.
func (r *rig) OpenShared(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, func(context.Context) error, error) {
	l, err := r.Open(ctx, opts...)
	if err != nil {
		return nil, nil, err
	}
	alive := func(ctx context.Context) error {
		probe, err := r.server.Open()
		if err != nil {
			return err
		}
		lock, err := probe.TryAcquire(ctx, "memrig: is the server alive?")
		if err == nil {
			err = lock.Release(ctx)
		}
		return errors.Join(err, probe.Close())
	}
	return l, alive, nil
}

// disturb finds the client in a Locker that may be wrapped.
func disturb(l locker.Locker, f func(*memlock.Client)) error {
	c, ok := locker.As[*memlock.Client](l)
	if !ok {
		return fmt.Errorf("memrig: %T has no memlock client in it", l)
	}
	f(c)
	return nil
}

func direction(d conformance.Direction) (m memlock.Direction) {
	if d&conformance.Up != 0 {
		m |= memlock.Up
	}
	if d&conformance.Down != 0 {
		m |= memlock.Down
	}
	return m
}
