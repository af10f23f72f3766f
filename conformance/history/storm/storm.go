package storm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance/history"
)

// Run lets a storm go over a ground and returns its record. It works in a
// testing/synctest bubble too.
//
// The error is for a storm that did not take place as planned: the ground did
// not give the clients, ctx ended before the time was over, or something in the
// code under test panicked or did not return. What was recorded is returned
// all the same, unless there is nothing.
func Run(ctx context.Context, g Ground, p Plan) (*history.History, error) {
	p, err := p.complete()
	if err != nil {
		return nil, err
	}
	s := &storm{ground: g, plan: p, rec: newRecorder(p), faults: dice(p.Seed, 0)}
	return s.run(ctx)
}

// dice are random numbers of one actor, so that what each of them intends does
// not depend on how they are scheduled.
func dice(seed, actor uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, actor)) }

type storm struct {
	ground Ground
	plan   Plan
	rec    *recorder
	faults *rand.Rand // of the goroutine that makes faults

	slots    []*slot
	observer locker.Locker

	workers sync.WaitGroup // those that must end before the record is sealed
	helpers sync.WaitGroup // those that end after that

	mu     sync.Mutex // guards all below
	opened int
	failed error
}

// A slot is a place for a client, which is replaced when it is gone.
type slot struct {
	mu       sync.Mutex // guards all below
	l        locker.Locker
	label    string
	gone     chan struct{} // closed when l has crashed or was closed
	reserved bool          // somebody is disturbing it
}

// A client is who is in a slot now.
type client struct {
	locker.Locker
	slot  *slot
	label string
	gone  <-chan struct{}
}

func (s *slot) client() client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return client{s.l, s, s.label, s.gone}
}

// reserve makes sure that one fault at a time is on a client.
func (s *slot) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved {
		return false
	}
	s.reserved = true
	return true
}

func (s *slot) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved = false
}

func (s *storm) run(ctx context.Context) (*history.History, error) {
	for i := range s.plan.Clients {
		sl := new(slot)
		if err := s.occupy(ctx, sl, i == 1); err != nil {
			return nil, fmt.Errorf("storm: client %d: %w", i+1, err)
		}
		s.slots = append(s.slots, sl)
	}
	var err error
	if s.observer, err = s.ground.Open(ctx, locker.WithIdentity("observer")); err != nil {
		return nil, fmt.Errorf("storm: the observer: %w", err)
	}

	active, cancel := context.WithTimeout(ctx, s.plan.For)
	defer cancel()
	for i, sl := range s.slots {
		for j := range s.plan.Workers {
			w := &worker{storm: s, slot: sl, id: j, rng: dice(s.plan.Seed, uint64(1+i*s.plan.Workers+j)), pauses: i%2 == 0 && j == 0}
			s.spawn(&s.workers, func() { w.work(active) })
		}
	}
	s.spawn(&s.workers, func() { s.disturb(active) })
	s.spawn(&s.helpers, func() { s.watch(active) })

	<-active.Done()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.workers.Wait()
	}()
	if !within(ended, s.plan.Patience) {
		s.fail(fmt.Errorf("storm: calls were still blocked %v after the end", s.plan.Patience))
	}
	cancel()
	h := s.rec.seal()
	if !within(ended, 0) {
		return h, s.failure()
	}
	s.helpers.Wait()
	if ctx.Err() != nil {
		s.fail(context.Cause(ctx))
	}
	return h, s.failure()
}

func within(c <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
	}
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// spawn keeps the panics of the code under test.
func (s *storm) spawn(group *sync.WaitGroup, f func()) {
	group.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				s.fail(fmt.Errorf("storm: panic: %v\n%s", p, debug.Stack()))
			}
		}()
		f()
	})
}

func (s *storm) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errors.Join(s.failed, err)
}

func (s *storm) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// occupy puts a new client into a slot.
func (s *storm) occupy(ctx context.Context, sl *slot, process bool) error {
	s.mu.Lock()
	s.opened++
	label := fmt.Sprintf("C%d", s.opened)
	s.mu.Unlock()
	var (
		l   locker.Locker
		err error
	)
	if process && s.ground.Spawn != nil {
		l, err = s.ground.Spawn(ctx)
	} else {
		l, err = s.ground.Open(ctx, locker.WithIdentity(label))
	}
	if err != nil {
		return err
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.l, sl.label, sl.gone = l, label, make(chan struct{})
	return nil
}

// watch asks the server again and again who holds the names.
func (s *storm) watch(ctx context.Context) {
	pause := max(s.plan.TTL/40, 5*time.Millisecond)
	for i := 0; sleep(ctx, pause/time.Duration(s.plan.Names)); i++ {
		name := nameOf(i % s.plan.Names)
		look := history.Sighting{Name: name, From: s.rec.stamp()}
		status, err := locker.Inspect(ctx, s.observer, name)
		switch {
		case err == nil:
			look.Token, look.Client = status.Holder.Token, label(status.Holder.Client)
		case errors.Is(err, locker.ErrNotHeld):
		case errors.Is(err, errors.ErrUnsupported):
			return
		default:
			continue // it could not be asked
		}
		if err == nil && look.Token == 0 {
			continue // somebody, but nobody says who
		}
		s.rec.saw(look)
	}
}

// label is the identity of a client if it is one of ours. A client in another
// process has one of its own, which says nothing here.
func label(identity string) string {
	digits, ours := strings.CutPrefix(identity, "C")
	if _, err := strconv.Atoi(digits); err != nil || !ours {
		return ""
	}
	return identity
}

func nameOf(i int) string { return fmt.Sprintf("name %d", i+1) }

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
