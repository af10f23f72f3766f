package conformance

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Pulser is a Maker that can ask its server for a sign of life: the smallest
// thing that needs of the server all that an Acquire needs of it, such as a
// write that a majority has on its disks. It goes over a connection of its own,
// which no fault of a client touches.
//
// The suite asks all the time while checks run, one call after the other. Where
// no answer came for longer than checks allow for a busy machine, neither did
// one to the backend under test, and leases ran out that nobody could renew:
// what a check saw then is void, and the check is done again. The result says
// so, in Void. A finding that no standstill explains stays what it is, and so
// does one of a check that was disturbed each time: it is not shown.
//
// A Maker whose rigs stop servers of their own is no Pulser. Without one the
// suite still notices when its own process does not get to run.
type Pulser interface {
	Pulse(ctx context.Context) error
}

const (
	// beat is how long the suite waits between two signs of life. It is far
	// below a standstill and costs a server nothing that it would notice.
	beat = 50 * time.Millisecond
	// attempts is how often a check is tried that is disturbed.
	attempts = 3
	// patience is how long a sign of life is waited for between them.
	patience = time.Minute
)

// A pulse remembers when there was no sign of life.
type pulse struct {
	ask  func(context.Context) error
	stop context.CancelFunc
	over chan struct{}

	mu    sync.Mutex // guards what follows
	since time.Time  // of the last sign of life
	gaps  []gap      // that are over, and were long
}

type gap struct{ from, to time.Time }

// feel asks m's server for signs of life until it is told to stop. In a bubble
// there is no server, and time stands still when the machine does.
func feel(ctx context.Context, m Maker) *pulse {
	if m.Profile().Bubble {
		return nil
	}
	p := &pulse{ask: func(context.Context) error { return nil }, over: make(chan struct{}), since: time.Now()}
	if pulser, ok := m.(Pulser); ok {
		p.ask = pulser.Pulse
	}
	ctx, p.stop = context.WithCancel(ctx)
	go p.beat(ctx)
	return p
}

func (p *pulse) beat(ctx context.Context) {
	defer close(p.over)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if p.ask(ctx) == nil {
			p.alive(time.Now())
		}
	}
}

func (p *pulse) alive(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= busy {
		p.gaps = append(p.gaps, gap{p.since, now})
	}
	p.since = now
}

// stood returns how long the longest standstill was that touches the time from
// one moment to another, or 0.
func (p *pulse) stood(from, to time.Time) (longest time.Duration) {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	look := func(g gap) {
		if d := g.to.Sub(g.from); d >= busy && g.from.Before(to) && g.to.After(from) {
			longest = max(longest, d)
		}
	}
	for _, g := range p.gaps {
		look(g)
	}
	look(gap{p.since, time.Now()})
	return longest
}

func (p *pulse) end() {
	if p != nil {
		p.stop()
		<-p.over
	}
}

// undisturbed runs a check until it has run without a standstill, or has said
// what no standstill explains. A check that passes in spite of one has passed.
func (p *pulse) undisturbed(ctx context.Context, run func() ruling) Result {
	var void []string
	for {
		began := time.Now()
		o := run()
		stood := p.stood(began, o.settled)
		if stood == 0 || o.certain || o.Verdict.Green() {
			o.Void = void
			return o.Result
		}
		void = append(void, fmt.Sprintf("no sign of life came from the server for %s; the check saw meanwhile: %s", short(stood), o.Seen))
		if len(void) == attempts || ctx.Err() != nil {
			o.Verdict, o.Void = NotShown, void
			o.Seen = fmt.Sprintf("the server or this machine stood still each time, at last for %s; what was seen proves nothing: %s", short(stood), o.Seen)
			return o.Result
		}
		p.await(ctx)
	}
}

// await returns when there is a sign of life, so that one standstill does not
// use up all attempts, or when there was none for too long.
func (p *pulse) await(ctx context.Context) {
	last := func() time.Time {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.since
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	began := time.Now()
	for was := last(); last().Equal(was) && time.Since(began) < patience; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
