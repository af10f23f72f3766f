package proxy

import "sync"

// A budget is how many answers are yet to be lost. Its mutex is the last one
// taken.
type budget struct {
	mu   sync.Mutex // guards left
	left int
}

func (b *budget) set(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = n
}

// take reports whether the answer to a request that is about to be sent is to
// be lost.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}
