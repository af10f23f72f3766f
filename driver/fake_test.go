package driver_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// server is the smallest thing that is a lock server to the engine: a queue of
// claims per name, each with a lease. Tests intercept its calls.
type server struct {
	mu     sync.Mutex
	queues map[string][]*held
	buried map[string]bool // undone IDs
	tenure uint64
	sink   driver.Sink // of the last client that pushes; nil: it polls
	quiet  bool        // grants are not pushed
	log    []string    // "claim ID", "release ID", …

	// Called around each request, outside of mu; an error of before keeps the
	// request from the server, an error of after loses its answer.
	before, after func(op string, id string) error
	silent        string // this op is swallowed: its caller waits for its context
	mute          string // this op is carried out, and its answer swallowed
}

type held struct {
	c      driver.Claim
	tenure uint64
	ends   time.Time
}

func newServer() *server {
	return &server{queues: make(map[string][]*held), buried: make(map[string]bool)}
}

// client is one connection. pushing makes it a driver.Pusher.
type client struct{ s *server }

type pushing struct{ client }

func (p pushing) Push(to driver.Sink) { p.s.sink = to }

func (s *server) open(t *testing.T, opts ...locker.OpenOption) *driver.Locker {
	return s.connect(t, client{s}, opts...)
}

func (s *server) openPushing(t *testing.T, opts ...locker.OpenOption) *driver.Locker {
	return s.connect(t, pushing{client{s}}, opts...)
}

func (s *server) connect(t *testing.T, b driver.Backend, opts ...locker.OpenOption) *driver.Locker {
	t.Helper()
	cfg, err := locker.ResolveOpen(opts...)
	if err != nil {
		t.Fatal(err)
	}
	clock := driver.TakeClock(&cfg, driver.GoClock())
	l := driver.New(cfg, b, clock)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func (s *server) call(ctx context.Context, op, id string, f func()) error {
	s.mu.Lock()
	before, after, silent, mute := s.before, s.after, s.silent, s.mute
	s.mu.Unlock()
	if op == silent {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", locker.ErrUnavailable, ctx.Err())
	}
	if before != nil {
		if err := before(op, id); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.log = append(s.log, op)
	s.sweep()
	f()
	s.mu.Unlock()
	if op == mute {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", locker.ErrUnavailable, ctx.Err())
	}
	if after != nil {
		return after(op, id)
	}
	return nil
}

func (s *server) onBefore(f func(op, id string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

func (s *server) onAfter(f func(op, id string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

func (s *server) silence(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = op
}

func (s *server) swallowAnswers(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = op
}

func (s *server) sweep() {
	for name, q := range s.queues {
		var live []*held
		for _, h := range q {
			if time.Now().Before(h.ends) {
				live = append(live, h)
			}
		}
		s.queues[name] = live
		s.crown(name)
	}
}

// crown gives the first of the queue a tenure.
func (s *server) crown(name string) {
	if q := s.queues[name]; len(q) > 0 && q[0].tenure == 0 {
		s.tenure++
		q[0].tenure = s.tenure
		if s.sink != nil && !s.quiet {
			id, tenure := q[0].c.ID, s.tenure
			go s.sink.Granted(id, tenure)
		}
	}
}

func (s *server) stand(name, id string) (driver.Answer, *held) {
	for i, h := range s.queues[name] {
		switch {
		case h.c.ID != id:
		case i == 0:
			return driver.Answer{State: driver.Held, Tenure: h.tenure}, h
		default:
			first := s.queues[name][0]
			holder := locker.Holder{Client: first.c.Client, Token: driver.Token(first.tenure)}
			return driver.Answer{State: driver.Queued, Holder: holder, Waiters: len(s.queues[name]) - 1}, h
		}
	}
	return driver.Answer{State: driver.Gone}, nil
}

func (c client) Claim(ctx context.Context, r driver.Claim) (ans driver.Answer, err error) {
	err = c.s.call(ctx, "claim", r.ID, func() {
		s := c.s
		if s.buried[r.ID] {
			ans = driver.Answer{State: driver.Gone}
			return
		}
		_, h := s.stand(r.Name, r.ID)
		if h == nil {
			if q := s.queues[r.Name]; r.Try && len(q) > 0 {
				ans = driver.Answer{State: driver.Refused, Holder: locker.Holder{Client: q[0].c.Client}}
				return
			}
			h = &held{}
			s.queues[r.Name] = append(s.queues[r.Name], h)
		}
		h.c, h.ends = r, time.Now().Add(r.TTL)
		s.crown(r.Name)
		ans, _ = s.stand(r.Name, r.ID)
		ans.TTL = r.TTL
	})
	return ans, err
}

func (c client) Renew(ctx context.Context, claims []driver.Ref) (answers []driver.Answer, err error) {
	err = c.s.call(ctx, "renew", "", func() {
		for _, r := range claims {
			ans, h := c.s.stand(r.Name, r.ID)
			if h != nil {
				h.ends = time.Now().Add(r.TTL)
			}
			answers = append(answers, ans)
		}
	})
	return answers, err
}

func (c client) Release(ctx context.Context, r driver.Release) (found bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = c.s.call(ctx, "release", r.ID, func() {
		if r.Uncertain {
			c.s.buried[r.ID] = true
		}
		found = c.s.remove(r.Name, r.ID)
	})
	return found, err
}

func (s *server) remove(name, id string) bool {
	for i, h := range s.queues[name] {
		if h.c.ID == id {
			s.queues[name] = append(s.queues[name][:i:i], s.queues[name][i+1:]...)
			s.crown(name)
			return true
		}
	}
	return false
}

func (c client) Close(context.Context) error { return nil }

// claims lists the IDs in the queue of name.
func (s *server) claims(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	var ids []string
	for _, h := range s.queues[name] {
		ids = append(ids, h.c.ID)
	}
	return ids
}

func (s *server) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.log {
		if o == op {
			n++
		}
	}
	return n
}

var errNet = fmt.Errorf("%w: connection reset", locker.ErrUnavailable)

// bubble runs f in a synctest bubble, where time is as patient as the test.
func bubble(t *testing.T, f func(t *testing.T, ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) { f(t, t.Context()) })
}

func must(t *testing.T, l locker.Locker, name string, opts ...locker.Option) locker.Lock {
	t.Helper()
	lock, err := l.Acquire(t.Context(), name, opts...)
	if err != nil {
		t.Fatalf("Acquire(%q): %v", name, err)
	}
	return lock
}

// background runs f in the background until it returns, and gives its result.
func background(f func() (locker.Lock, error)) <-chan result {
	c := make(chan result, 1)
	go func() {
		lock, err := f()
		c <- result{lock, err}
	}()
	return c
}

type result struct {
	lock locker.Lock
	err  error
}
