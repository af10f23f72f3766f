package driver

import (
	"sync"
	"sync/atomic"
)

// A gate counts the calls that are inside, so that Close can wait for the last
// one before it closes the backend.
//
// state is twice the number of calls, plus one when the gate is shut. enter
// counts before it looks, so a call is either seen by shut or sees it.
type gate struct {
	state atomic.Int64
	once  sync.Once
	idle  chan struct{} // closed when shut and empty
}

// enter reports whether the call may go in; if so it must leave.
func (g *gate) enter() bool {
	if g.state.Add(2)&1 == 0 {
		return true
	}
	g.leave()
	return false
}

// fork counts one more call, made by a call that is inside.
func (g *gate) fork() { g.state.Add(2) }

func (g *gate) leave() {
	if g.state.Add(-2) == 1 {
		// A refused enter may pass through this state again, hence the once.
		g.once.Do(func() { close(g.idle) })
	}
}

func (g *gate) shut() {
	if g.state.Or(1) == 0 {
		g.once.Do(func() { close(g.idle) })
	}
}
