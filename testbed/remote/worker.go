package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	_ "github.com/lockerlib/locker/etcdlock" // schemes that a child can open
	_ "github.com/lockerlib/locker/redislock"
)

// envURL tells a process that it is a child, and what to open.
const (
	envURL      = "LOCKER_TESTBED_REMOTE_URL"
	envIdentity = "LOCKER_TESTBED_REMOTE_IDENTITY"
)

// Main turns this process into a child if it was started as one, and does not
// return then. Else it does nothing. Every program that calls Spawn calls Main
// first thing in main or TestMain: children are further processes of the same
// program.
func Main() {
	url := os.Getenv(envURL)
	if url == "" {
		return
	}
	if err := serve(url, os.Getenv(envIdentity)); err != nil {
		fmt.Fprintln(os.Stderr, "remote:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// openTimeout bounds how long a child tries to reach the server.
const openTimeout = 20 * time.Second

// A worker is what a child is: it carries out what its parent asks for.
type worker struct {
	l     locker.Locker
	calls sync.WaitGroup

	out struct {
		sync.Mutex // guards the encoder: one message a line
		*json.Encoder
	}

	mu      sync.Mutex // guards what follows
	cancels map[uint64]context.CancelFunc
	locks   map[uint64]locker.Lock
	last    uint64 // handle
}

// serve opens url and does what stdin says, until it says close. The end of
// stdin is the death of the parent: the child dies as well, and as suddenly.
func serve(url, identity string) error {
	c := &worker{cancels: make(map[uint64]context.CancelFunc), locks: make(map[uint64]locker.Lock)}
	c.out.Encoder = json.NewEncoder(os.Stdout)
	trace := &locker.Trace{Renewed: func(name string, token uint64, deadline time.Time) {
		c.send(message{Renewed: token, Name: name, Deadline: deadline})
	}}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	opts := []locker.OpenOption{locker.WithTrace(trace)}
	if identity != "" {
		opts = append(opts, locker.WithIdentity(identity))
	}
	l, err := locker.Open(ctx, url, opts...)
	if err != nil {
		c.send(message{Ready: true, Err: encodeError(err)})
		return err
	}
	c.l = l
	c.send(message{Ready: true})

	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var q call
		if err := in.Decode(&q); err != nil {
			return fmt.Errorf("the parent is gone: %w", err)
		}
		switch q.Op {
		case opCancel:
			c.cancel(q.ID)
		case opClose:
			err := c.l.Close()
			c.calls.Wait() // Close made them all return
			c.send(message{ID: q.ID, Err: encodeError(err)})
			return nil
		case opAcquire, opTry:
			// Registered here, so that a cancel that follows finds it.
			ctx, cancel := context.WithCancel(context.Background())
			c.mu.Lock()
			c.cancels[q.ID] = cancel
			c.mu.Unlock()
			c.calls.Go(func() { c.acquire(ctx, q) })
		default:
			c.calls.Go(func() { c.send(message{ID: q.ID, Err: encodeError(c.onLock(q))}) })
		}
	}
}

func (c *worker) send(m message) {
	c.out.Lock()
	err := c.out.Encode(m)
	c.out.Unlock()
	if err != nil {
		os.Exit(1) // nobody listens any more
	}
}

func (c *worker) cancel(id uint64) {
	c.mu.Lock()
	cancel := c.cancels[id]
	delete(c.cancels, id)
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (c *worker) acquire(ctx context.Context, q call) {
	defer c.cancel(q.ID)
	var opts []locker.Option
	opts = append(opts, locker.WithTTL(q.Req.TTL), locker.WithMetadata(q.Req.Metadata))
	if q.Req.HasMaxWait {
		opts = append(opts, locker.WithMaxWait(q.Req.MaxWait))
	}
	if q.Req.Owner != "" {
		opts = append(opts, locker.WithReentry(q.Req.Owner))
	}
	acquire := c.l.Acquire
	if q.Op == opTry {
		acquire = c.l.TryAcquire
	}
	lock, err := acquire(ctx, q.Req.Name, opts...)
	if err != nil {
		c.send(message{ID: q.ID, Err: encodeError(err)})
		return
	}
	c.mu.Lock()
	c.last++
	handle := c.last
	c.locks[handle] = lock
	c.mu.Unlock()
	c.send(message{ID: q.ID, Lock: &lockState{
		Handle: handle, Name: lock.Name(), Owner: lock.Owner(), Token: lock.Token(),
		TTL: lock.TTL(), Deadline: lock.Deadline(),
	}})
	<-lock.Done() // comes at the latest with Close
	c.send(message{Ended: handle, Err: encodeError(lock.Err())})
}

func (c *worker) onLock(q call) error {
	c.mu.Lock()
	lock := c.locks[q.Lock]
	c.mu.Unlock()
	if lock == nil {
		return fmt.Errorf("remote: no lock %d", q.Lock)
	}
	if q.Op == opErr {
		return lock.Err()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if q.Expired {
		cancel()
	}
	return lock.Release(ctx)
}
