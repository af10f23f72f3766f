package conformance

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Pulser is a Maker that can ask its server for a sign of life: the smallest
// request that needs of the server what an Acquire needs of it, which is to be
// ordered among the writes. It goes over a connection that no fault of a client
// touches, leaves nothing behind, and returns when ctx ends.
//
// While checks of the standard set run, the suite asks again and again. If none
// came for so long that it explains a finding (something was late, a call was not
// answered, a hold was lost that nobody could renew), that try of the check is
// void, and the check is done again, twice at most. The result says so, in Void.
// The verdict is that of the last try. What no standstill explains, such as a
// token that fell or a name that was granted twice, is a finding at once.
//
// Without a Pulser the suite still notices when its own process does not get to
// run.
type Pulser interface {
	Pulse(ctx context.Context) error
}

const (
	// beat is how long the suite waits between two signs of life, and answer how
	// long it waits for one before it asks anew.
	beat   = 100 * time.Millisecond
	answer = time.Second
	// attempts is how often a check is tried at most.
	attempts = 3
	// patience is how long a sign of life is waited for between them.
	patience = 10 * time.Second
)

// A pulse remembers when there was no sign of life.
type pulse struct {
	ask  func(context.Context) error
	who  string // it is asked of
	stop context.CancelFunc
	over chan struct{}

	mu    sync.Mutex // guards what follows
	since time.Time  // of the last sign of life; zero before the first
	gaps  []gap      // that are over, and were long
}

type gap struct{ from, to time.Time }

// feel asks m's server for signs of life until it is told to stop. In a bubble
// there is no server, and time stands still when the machine does.
func feel(ctx context.Context, m Maker) *pulse {
	if m.Profile().Bubble {
		return nil
	}
	p := &pulse{ask: func(context.Context) error { return nil }, who: "this process", over: make(chan struct{})}
	if pulser, ok := m.(Pulser); ok {
		p.ask, p.who = pulser.Pulse, "the server"
	}
	// The checks go on for a while when ctx ends.
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	go p.beat(ctx)
	return p
}

func (p *pulse) beat(ctx context.Context) {
	defer close(p.over)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, answer)
		err := p.ask(bounded)
		cancel()
		if err == nil {
			p.alive(time.Now())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *pulse) alive(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() && now.Sub(p.since) >= busy {
		p.gaps = append(p.gaps, gap{p.since, now})
	}
	p.since = now
}

func (p *pulse) last() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since
}

// stood returns how long the server stood still at a stretch from one moment to
// another. A server that never gave a sign of life cannot be told from one that
// cannot be asked: nothing is put down to it.
func (p *pulse) stood(from, to time.Time) (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return 0
	}
	for _, g := range append(p.gaps[:len(p.gaps):len(p.gaps)], gap{p.since, time.Now()}) {
		longest = max(longest, earlier(g.to, to).Sub(later(g.from, from)))
	}
	return longest
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (p *pulse) end() {
	if p != nil {
		p.stop()
		waitFor(p.over, grace)
	}
}

// undisturbed runs a check, and again if a standstill explains what it found.
// Only a standstill shortly before can: what a check waits for comes within a
// few TTLs.
func (p *pulse) undisturbed(ctx context.Context, ttl time.Duration, run func() ruling) Result {
	var void []string
	for {
		began := time.Now()
		o := run()
		o.Void = void
		if p == nil || len(void) == attempts-1 {
			return o.Result
		}
		explained := o.explained
		if o.Verdict == GivesWay { // if so, a counter-example must not be owed to it
			explained = ttl / 2
		}
		stood := p.stood(later(began, o.settled.Add(-4*ttl)), o.settled)
		if explained == 0 || stood < explained || !p.await(ctx) {
			return o.Result
		}
		void = append(void, fmt.Sprintf("no sign of life came from %s for %s, and then the check saw: %s", p.who, short(stood), o.Seen))
	}
}

// await returns whether a sign of life comes, so that one standstill does not use
// up all attempts, and a server that is gone not all the time.
func (p *pulse) await(ctx context.Context) bool {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	began := time.Now()
	for p.last().Before(began) {
		select {
		case now := <-tick.C:
			if now.Sub(began) > patience {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
