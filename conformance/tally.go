package conformance

import (
	"sync"
	"sync/atomic"
)

// A counter counts from several goroutines.
type counter struct{ n atomic.Int64 }

func (c *counter) add(d int64) int64 { return c.n.Add(d) }
func (c *counter) get() int64        { return c.n.Load() }

// An errorBox keeps the first error that it is given.
type errorBox struct {
	mu  sync.Mutex
	err error
}

func (b *errorBox) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

func (b *errorBox) get() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
