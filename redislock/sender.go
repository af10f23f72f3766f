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

	// patience is how long calls wait for a batch to come back. Then the
	// senders that are out no longer count, and others take their places: a
	// connection that hangs holds up nobody else for longer.
	patience = 10 * time.Millisecond
)

// A sender runs scripts. It combines calls that are made at the same time into
// pipelines: with many goroutines, most of what a call costs is the system
// calls on both ends, and they are shared.
type sender struct {
	client redis.UniversalClient

	mu     sync.Mutex // guards what follows
	queue  []*request
	out    int    // senders at work, less those that were written off
	epoch  uint64 // raised when senders are written off
	taken  uint64 // batches taken so far
	guard  bool   // a timer looks whether batches are taken
	before uint64 // taken, when it last looked

	idle    chan func() // a sender waits here for its next turn; see work
	quit    chan struct{}
	running sync.WaitGroup
}

func newSender(client redis.UniversalClient) *sender {
	return &sender{client: client, idle: make(chan func()), quit: make(chan struct{})}
}

// work runs f in a goroutine that has finished before, or in a new one. To keep
// some is worth it because of their stacks: a new one would have to grow its
// own, step by step, for every call.
func (s *sender) work(f func()) {
	select {
	case s.idle <- f:
	default:
		s.running.Go(func() {
			for {
				f()
				select {
				case f = <-s.idle:
				case <-s.quit:
					return
				}
			}
		})
	}
}

type request struct {
	call *call
	done chan struct{}
	via  redis.UniversalClient // nil: that of the sender
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

// alone runs c at once and by itself: a renewal must not wait for others. via is
// the client to use, if it is another one.
func (s *sender) alone(ctx context.Context, c *call, via redis.UniversalClient) error {
	r := &request{call: c, done: make(chan struct{}), via: via}
	s.work(func() { s.send([]*request{r}) })
	select {
	case <-r.done:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start puts one more sender to work if there is work and room. s.mu is held.
func (s *sender) start() {
	if len(s.queue) == 0 {
		return
	}
	if s.out < maxSenders {
		s.out++
		epoch := s.epoch
		s.work(func() { s.run(epoch) })
	} else if !s.guard {
		s.guard, s.before = true, s.taken
		time.AfterFunc(patience, s.look)
	}
}

// look writes the senders off if none of them came back for more work. It runs
// only while calls wait, so that an uncontended call needs no timer.
func (s *sender) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guard = false
	if len(s.queue) > 0 && s.taken == s.before {
		s.epoch++
		s.out = 0
	}
	s.start()
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

// run sends what is queued until nothing is, or until it was written off.
func (s *sender) run(epoch uint64) {
	for {
		s.mu.Lock()
		n := min(len(s.queue), maxBatch)
		switch {
		case s.epoch != epoch:
			s.mu.Unlock()
			return
		case n == 0:
			s.out--
			s.mu.Unlock()
			return
		}
		batch := s.queue[:n:n]
		if s.queue = s.queue[n:]; len(s.queue) == 0 {
			s.queue = nil // the array is the batch's now
		}
		s.taken++
		s.mu.Unlock()
		s.send(batch)
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
		client := s.client
		if via := batch[0].via; via != nil {
			client = via
		}
		_ = client.Process(ctx, batch[0].call)
		return
	}
	pipe := s.client.Pipeline()
	for _, r := range batch {
		_ = pipe.Process(ctx, r.call)
	}
	_, _ = pipe.Exec(ctx)
}

// close returns when nothing is on its way any more, or when ctx ends. No call
// may come after it.
func (s *sender) close(ctx context.Context) error {
	close(s.quit)
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
