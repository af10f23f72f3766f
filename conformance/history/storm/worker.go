package storm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance/history"
)

// A worker is a goroutine of a client that takes one name after the other.
type worker struct {
	storm *storm
	slot  *slot
	id    int
	rng   *rand.Rand
	// pauses says that the next hold is to be one whose holder is paused, until
	// one was overtaken, so that every storm has some.
	pauses bool
}

// upTo is a random time below a part of the TTL.
func (w *worker) upTo(part float64) time.Duration {
	return time.Duration(w.rng.Float64() * part * float64(w.storm.plan.TTL))
}

func (w *worker) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *worker) work(ctx context.Context) {
	for ctx.Err() == nil {
		w.section(ctx)
		if !sleep(ctx, w.upTo(0.05)) {
			return
		}
	}
}

// section is one time of having a name.
func (w *worker) section(ctx context.Context) {
	c := w.slot.client()
	name := nameOf(w.rng.IntN(w.storm.plan.Names))
	ttl := w.storm.plan.TTL
	if w.chance(20) && !w.pauses {
		ttl *= 2
	}
	opts := []locker.Option{locker.WithTTL(ttl)}
	owner, depth := "", 1
	if w.chance(20) && !w.pauses {
		owner, depth = fmt.Sprintf("%s worker %d", c.label, w.id), 1+w.rng.IntN(3)
		opts = append(opts, locker.WithReentry(owner))
	}
	first := w.claim(ctx, c, name, owner, opts)
	if first == nil {
		return
	}
	levels := []*held{first}
	for range depth - 1 {
		if l := w.claim(ctx, c, name, owner, opts); l != nil {
			levels = append(levels, l)
		}
	}
	if len(levels) > 1 || !w.pauses && !w.chance(5) || !w.pause(ctx, c, first) {
		w.update(ctx, c, first)
	}
	w.rng.Shuffle(len(levels), func(i, j int) { levels[i], levels[j] = levels[j], levels[i] })
	for i, l := range levels {
		if i > 0 { // the others still hold
			sleepUntil(ctx, c.gone, l.lock.Done(), w.upTo(0.03))
		}
		w.release(ctx, c, l)
	}
}

// claim asks for a level: waiting, trying, or giving up soon.
func (w *worker) claim(ctx context.Context, c client, name, owner string, opts []locker.Option) *held {
	rec := w.storm.rec
	what, call, limit := "acquire", c.Acquire, w.upTo(3)+w.storm.plan.TTL/4
	switch w.rng.IntN(10) {
	case 0, 1, 2:
		what, call, limit = "try", c.TryAcquire, w.storm.plan.TTL
	case 3:
		what, limit = "acquire, in a hurry", w.upTo(0.1)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	asked := rec.stamp()
	lock, err := call(ctx, name, opts...)
	rec.count(what, err)
	if err != nil || lock == nil {
		return nil
	}
	return rec.got(c.label, lock, name, owner, asked, func(f func()) { w.storm.spawn(&w.storm.helpers, f) })
}

// update is what a hold is for: read, think, and write if the hold is still
// there.
func (w *worker) update(ctx context.Context, c client, h *held) {
	d, _ := w.storm.rec.read(h)
	think := w.upTo(0.02)
	switch n := w.rng.IntN(100); {
	case n < 2:
		think = w.storm.plan.TTL + w.upTo(1) // needs renewal
	case n < 12:
		think = w.upTo(0.25)
	}
	if sleepUntil(ctx, c.gone, h.lock.Done(), think) && h.lock.Err() == nil {
		w.storm.rec.write(h, d)
	}
}

func sleepUntil(ctx context.Context, gone, done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
	case <-done:
	case <-ctx.Done():
	}
	return false
}

// pause is a holder that is stopped between reading and writing: its link is
// cut, its lease runs out, somebody else writes, and then it writes what it has
// prepared, without looking at its lock. It reports whether that was done.
func (w *worker) pause(ctx context.Context, c client, h *held) bool {
	s := w.storm
	if s.ground.Cut == nil || s.ground.Heal == nil || !c.slot.reserve() {
		return false
	}
	defer c.slot.free()
	if c.slot.client().label != c.label {
		return false
	}
	d, later := s.rec.read(h)
	limit := 3*s.plan.TTL + h.TTL
	err := s.rec.fault(history.Fault{Kind: history.Link, Client: c.label, Text: "paused, and its link cut"}, func() error {
		if err := s.ground.Cut(c.Locker, BothWays); err != nil {
			return err
		}
		timer := time.NewTimer(limit)
		defer timer.Stop()
		overtaken := true
		for _, event := range []<-chan struct{}{h.lock.Done(), later} {
			select {
			case <-event:
				continue
			case <-c.gone:
			case <-timer.C:
			case <-ctx.Done():
			}
			overtaken = false
			break
		}
		if overtaken {
			w.pauses = false
		}
		return s.ground.Heal(c.Locker)
	})
	if err != nil {
		s.fail(fmt.Errorf("storm: a link could not be cut: %w", err))
		return true
	}
	s.rec.write(h, d)
	return true
}

// release gives a level back; sometimes in a hurry.
func (w *worker) release(ctx context.Context, c client, h *held) {
	select {
	case <-c.gone:
		return // nobody is there to do it
	default:
	}
	ctx = context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, 2*w.storm.plan.TTL)
	defer cancel()
	if w.chance(10) {
		cancel()
	}
	w.storm.rec.releases(h)
	w.storm.rec.released(h, h.lock.Release(ctx))
}
