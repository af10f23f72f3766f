package storm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance/history"
)

// disturb makes one fault after the other, some of which last while others
// begin. At most half of the clients are disturbed at a time.
func (s *storm) disturb(ctx context.Context) {
	kinds := s.kinds()
	slots := make(chan struct{}, max(1, len(s.slots)/2))
	var lasting sync.WaitGroup
	defer lasting.Wait()
	for sleep(ctx, s.plan.TTL/8+s.some(0.5)) {
		f := kinds[s.faults.IntN(len(kinds))]
		sl := s.slots[s.faults.IntN(len(s.slots))]
		arg := fate{
			way: Way(s.faults.IntN(3)), n: 1 + s.faults.IntN(3),
			name:  nameOf(s.faults.IntN(s.plan.Names)),
			short: s.some(0.5), long: s.plan.TTL/5 + s.some(1.8),
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		if !sl.reserve() {
			<-slots
			continue
		}
		s.spawn(&lasting, func() {
			defer func() {
				sl.free()
				<-slots
			}()
			f(ctx, sl.client(), arg)
		})
	}
}

// some is a random time below a part of the TTL, by the dice of faults.
func (s *storm) some(part float64) time.Duration {
	return time.Duration(s.faults.Float64() * part * float64(s.plan.TTL))
}

// A fate is what was diced for a fault before it began.
type fate struct {
	way         Way
	n           int
	name        string
	short, long time.Duration // up to half a TTL, and up to two
}

// kinds lists what this ground can do; the frequent ones are there twice.
func (s *storm) kinds() []func(context.Context, client, fate) {
	g := s.ground
	list := []func(context.Context, client, fate){s.reopen, s.breakHold}
	if g.Cut != nil && g.Heal != nil {
		list = append(list, s.cut, s.cut)
	}
	if g.Delay != nil && g.Heal != nil {
		list = append(list, s.delay, s.delay)
	}
	if g.DropReplies != nil {
		list = append(list, s.drop, s.drop)
	}
	if g.Crash != nil {
		list = append(list, s.crash, s.crash)
	}
	if g.Evict != nil {
		list = append(list, s.evict)
	}
	if g.Suspend != nil {
		list = append(list, s.suspend)
	}
	if g.Spawn != nil {
		list = append(list, s.stop, s.stop)
	}
	return list
}

// link makes something be wrong with a client's link for a while.
func (s *storm) link(ctx context.Context, c client, text string, d time.Duration, begin, end func() error) {
	err := s.rec.fault(history.Fault{Kind: history.Link, Client: c.label, Text: text}, func() error {
		if err := begin(); err != nil {
			return err
		}
		sleep(ctx, d)
		return end()
	})
	if err != nil {
		s.fail(fmt.Errorf("storm: %s: %w", text, err))
	}
}

func (s *storm) cut(ctx context.Context, c client, f fate) {
	s.link(ctx, c, "link cut ("+f.way.String()+")", f.long,
		func() error { return s.ground.Cut(c.Locker, f.way) },
		func() error { return s.ground.Heal(c.Locker) })
}

func (s *storm) delay(ctx context.Context, c client, f fate) {
	s.link(ctx, c, fmt.Sprintf("link slower by %v (%v)", f.short.Round(time.Millisecond), f.way), f.long,
		func() error { return s.ground.Delay(c.Locker, f.way, f.short) },
		func() error { return s.ground.Heal(c.Locker) })
}

// drop lasts until n requests were made; that they were within a TTL is likely.
func (s *storm) drop(ctx context.Context, c client, f fate) {
	s.link(ctx, c, fmt.Sprintf("the next %d answers lost", f.n), s.plan.TTL,
		func() error { return s.ground.DropReplies(c.Locker, f.n) },
		func() error { return s.ground.DropReplies(c.Locker, 0) })
}

// stop halts a client in another process, for longer than its lease now and
// then.
func (s *storm) stop(ctx context.Context, c client, f fate) {
	if p, ok := c.Locker.(Process); ok {
		s.link(ctx, c, "process stopped", f.long, p.Stop, p.Continue)
	}
}

func (s *storm) crash(ctx context.Context, c client, f fate) {
	s.leave(ctx, c, f, "crashed", false, func() error { return s.ground.Crash(c.Locker) })
}

func (s *storm) reopen(ctx context.Context, c client, f fate) {
	s.leave(ctx, c, f, "closed", true, c.Close)
}

// leave ends a client and puts another one into its place a little later.
func (s *storm) leave(ctx context.Context, c client, f fate, text string, closed bool, end func() error) {
	s.rec.gone(c.label, closed)
	c.slot.mu.Lock()
	close(c.slot.gone)
	c.slot.mu.Unlock()
	err := s.rec.fault(history.Fault{Kind: text, Client: c.label, Text: text}, end)
	if err != nil && !closed {
		s.fail(fmt.Errorf("storm: a client could not be made to crash: %w", err))
	}
	if !closed {
		// A crashed one sends nothing; this gives back what it has here.
		s.spawn(&s.helpers, func() { _ = c.Close() })
	}
	sleep(ctx, f.short)
	if err := s.occupy(context.WithoutCancel(ctx), c.slot, isProcess(c.Locker)); err != nil {
		s.fail(fmt.Errorf("storm: a client could not be replaced: %w", err))
	}
}

func isProcess(l locker.Locker) bool {
	_, ok := l.(Process)
	return ok
}

// suspend makes a client's clock run ahead, as if its machine had slept.
func (s *storm) suspend(_ context.Context, c client, f fate) {
	if isProcess(c.Locker) {
		return
	}
	err := s.rec.fault(history.Fault{Kind: history.Link, Client: c.label, Text: "seems to have slept for " + f.long.Round(time.Millisecond).String()},
		func() error { return s.ground.Suspend(c.Locker, f.long) })
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		s.fail(fmt.Errorf("storm: a client could not be suspended: %w", err))
	}
}

// evict removes a hold behind everybody's back. It fails if nobody holds the
// name just then, which is no fault.
func (s *storm) evict(ctx context.Context, _ client, f fate) {
	_ = s.rec.fault(history.Fault{Kind: history.Evict, Name: f.name, Text: "evicted on the server"}, func() error {
		return s.ground.Evict(context.WithoutCancel(ctx), f.name)
	})
}

// breakHold ends whatever hold the name has, as an operator would.
func (s *storm) breakHold(ctx context.Context, _ client, f fate) {
	status, err := locker.Inspect(ctx, s.observer, f.name)
	if err != nil || status.Holder.Token == 0 {
		return
	}
	fault := history.Fault{Kind: history.Break, Name: f.name, Token: status.Holder.Token, Text: "broken"}
	_ = s.rec.fault(fault, func() error {
		err := locker.Break(context.WithoutCancel(ctx), s.observer, f.name, status.Holder.Token)
		if errors.Is(err, locker.ErrNotHeld) || errors.Is(err, errors.ErrUnsupported) {
			return err // nothing happened
		}
		return nil
	})
}
