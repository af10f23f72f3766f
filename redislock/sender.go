package redislock

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxSenders bounds the batches that are out at a time. Calls that come
	// while all are out travel together in the next one.
	maxSenders = 2
	maxBatch   = 128

	// patience is how long a batch may be out before it no longer counts. So
	// a connection that hangs holds up nobody else for longer.
	patience = 10 * time.Millisecond
)

// A sender runs scripts. It combines calls that are made at the same time into
// pipelines: with many goroutines, most of what a call costs is the system
// calls on both ends, and they are shared.
type sender struct {
	client redis.UniversalClient

	mu    sync.Mutex // guards queue and out, and the request fields
	queue []*request
	out   int // senders at work, less those whose batch is out for longer than patience

	running sync.WaitGroup
}

type request struct {
	call *call
	done chan struct{}
}

// do runs c and returns when it was answered, or when ctx ends. In the latter
// case c may still be sent and carried out later, unless it was not taken up
// yet. go-redis cannot be interrupted while it reads, hence the detour over
// another goroutine, which is needed for combining anyway.
func (s *sender) do(ctx context.Context, c *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{call: c, done: make(chan struct{})}
	s.mu.Lock()
	s.queue = append(s.queue, r)
	s.start()
	s.mu.Unlock()
	select {
	case <-r.done:
		return c.Err()
	case <-ctx.Done():
		s.drop(r)
		return ctx.Err()
	}
}

// alone runs c at once and by itself: a renewal must not wait for others.
func (s *sender) alone(ctx context.Context, c *call) error {
	r := &request{call: c, done: make(chan struct{})}
	s.running.Go(func() { s.send([]*request{r}) })
	select {
	case <-r.done:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start puts one more sender to work if there is work and room. s.mu is held.
func (s *sender) start() {
	if len(s.queue) > 0 && s.out < maxSenders {
		s.out++
		s.running.Go(s.run)
	}
}

func (s *sender) drop(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.queue {
		if other == r {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return
		}
	}
}

// run sends what is queued until nothing is.
func (s *sender) run() {
	for {
		s.mu.Lock()
		n := min(len(s.queue), maxBatch)
		if n == 0 {
			s.out--
			s.mu.Unlock()
			return
		}
		batch := append([]*request(nil), s.queue[:n]...)
		clear(s.queue[:n])
		s.queue = s.queue[n:]
		s.mu.Unlock()

		back, late := false, false // guarded by s.mu
		timer := time.AfterFunc(patience, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !back {
				late = true
				s.out--
				s.start()
			}
		})
		s.send(batch)
		timer.Stop()
		s.mu.Lock()
		back = true
		leave := late // its place was given away
		s.mu.Unlock()
		if leave {
			return
		}
	}
}

// send carries a batch to the server, and again with the sources where it did
// not know the scripts.
func (s *sender) send(batch []*request) {
	s.exec(batch)
	var again []*request
	for _, r := range batch {
		if r.call.unknownScript() {
			r.call.bySource()
			again = append(again, r)
		} else {
			close(r.done)
		}
	}
	if len(again) == 0 {
		return
	}
	s.exec(again)
	for _, r := range again {
		close(r.done)
	}
}

// exec runs a batch. Every call carries its own error afterwards. The context
// has no end: it is not one caller's, and the client has its time limits.
func (s *sender) exec(batch []*request) {
	ctx := context.Background()
	if len(batch) == 1 {
		_ = s.client.Process(ctx, batch[0].call)
		return
	}
	pipe := s.client.Pipeline()
	for _, r := range batch {
		_ = pipe.Process(ctx, r.call)
	}
	_, _ = pipe.Exec(ctx)
}

// wait returns when nothing is on its way any more, or when ctx ends.
func (s *sender) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
