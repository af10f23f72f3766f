package broken

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lockerlib/locker/conformance"
)

var (
	_ conformance.Spawner = (*rig)(nil)
	_ conformance.Planter = (*rig)(nil)
	_ conformance.Process = (*process)(nil)
)

// A process stands in for a client in a process of its own. What a signal does
// is done to its link and to its timers: when it is stopped, nothing of it
// moves, while the server and its clock go on.
type process struct {
	*client
	rig *rig
}

// Spawn opens a client that can be stopped and killed.
func (r *rig) Spawn(ctx context.Context) (conformance.Process, error) {
	if r.maker.other != nil {
		return nil, fmt.Errorf("broken: a tutorial has no processes: %w", errors.ErrUnsupported)
	}
	server := r.server
	if server.flaw.stateInProcess {
		server = newServer(server.flaw)
	}
	c, err := server.open()
	if err != nil {
		return nil, err
	}
	c.elsewhere = true
	p := &process{c, r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lockers = append(r.lockers, p)
	r.links[p] = c.link
	return p, ctx.Err()
}

// Kill ends the process.
func (p *process) Kill() error {
	p.mu.Lock()
	var left []*tenure
	for _, t := range p.holds {
		left = append(left, t)
	}
	p.mu.Unlock()
	if p.flaw.renewedOutside {
		for _, t := range left {
			go func() {
				for wait(p.link.ended, nil, t.ttl/3) == nil {
					p.server.renew(p.prefix+t.name, t.claim.id, t.ttl)
				}
			}()
		}
	}
	p.link.set(func() { p.link.crashed = true })
	return nil
}

// Stop freezes the process.
func (p *process) Stop() error {
	p.link.set(func() {
		p.link.cut = conformance.Both
		if p.link.stopped == nil {
			p.link.stopped = make(chan struct{})
		}
	})
	return nil
}

// Continue lets it go on.
func (p *process) Continue() error {
	p.link.set(p.link.proceed)
	p.server.catchUp()
	return nil
}

// proceed ends a stop. mu is held.
func (l *link) proceed() {
	if l.stopped != nil {
		close(l.stopped)
		l.stopped, l.cut = nil, 0
	}
}

// standstill waits while the process is stopped.
func (l *link) standstill() {
	l.mu.Lock()
	stopped := l.stopped
	l.mu.Unlock()
	if stopped != nil {
		<-stopped
	}
}

// Plant puts keys on the server that are not the library's.
func (r *rig) Plant(context.Context) (func(context.Context) error, error) {
	keys := []string{"", "config", "i3.not", "i3/not"}
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.foreign = slices.Clone(keys)
	return func(context.Context) error {
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		if !slices.Equal(r.server.foreign, keys) {
			return fmt.Errorf("of the keys %q, which are not the library's, there is left %q", keys, r.server.foreign)
		}
		return nil
	}, nil
}

func processes() []spoiledLock {
	return []spoiledLock{
		{"state in the process", "The locks are a map in each process.", "X5", "in another process", flaw{stateInProcess: true}},
		{"renewed from outside", "Something that outlives the process renews its holds.", "E4", "by one TTL and the slack", flaw{renewedOutside: true}},
		{"trusts its timers", "Err does not look at the clock: a timer ends the hold.", "L2", "never believes to hold", flaw{trustsTimers: true}},
		{"sweeps the prefix", "Close deletes all that begins with the prefix.", "I3", "foreign data is left alone", flaw{sweepsPrefix: true}},
	}
}
