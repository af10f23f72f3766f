package broken

import "sync"

// A group counts goroutines. Unlike a sync.WaitGroup it may grow while somebody
// waits.
type group struct {
	mu   sync.Mutex // guards all below
	n    int
	idle chan struct{} // closed when n falls to 0
}

func (g *group) Go(f func()) {
	g.mu.Lock()
	if g.n == 0 {
		g.idle = make(chan struct{})
	}
	g.n++
	g.mu.Unlock()
	go func() {
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.n--; g.n == 0 {
				close(g.idle)
			}
		}()
		f()
	}()
}

// quiet is closed once nothing runs.
func (g *group) quiet() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	return g.idle
}
