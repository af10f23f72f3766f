package etcdlock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// A keeper sends the keepalives of all leases of one client over one stream.
//
// The client's own KeepAlive does not tell when a request was sent, and its
// KeepAliveOnce opens a stream, and with a password authenticates anew, for
// each request and repeats it in a tight loop.
//
// A request whose answer is late stays valid: its answer counts from its own
// sending whenever it comes. But the next one then goes over a new stream,
// which may reach another server, because the first may hang.
type keeper struct {
	remote   pb.LeaseClient
	now      func() time.Duration
	answered func(id clientv3.LeaseID, sent time.Duration, ttl int64)
	ctx      context.Context // ends with the backend
	wg       *sync.WaitGroup

	mu  sync.Mutex
	cur *beatStream // guarded by mu, as are the beats of every stream
}

// patience is how long the oldest request of a stream may be unanswered before
// the next request goes over a new one.
const patience = 500 * time.Millisecond

var errStreamEnded = errors.New("the keepalive stream ended")

type beat struct {
	id   clientv3.LeaseID
	sent time.Duration
	done chan beatResult // has room for the one result
}

type beatResult struct {
	ttl int64
	err error
}

type beatStream struct {
	cancel  context.CancelFunc
	wake    chan struct{} // has room for one: unsent is not empty
	unsent  []*beat
	waiting []*beat // sent, in order
	replaced,
	ended bool
}

// beat asks for one keepalive and waits for its answer. A ttl of 0 says that
// the server does not have the lease.
func (k *keeper) beat(ctx context.Context, id clientv3.LeaseID) (ttl int64, err error) {
	b := &beat{id: id, done: make(chan beatResult, 1)}
	k.mu.Lock()
	// From here the request may leave at any time, so its validity counts from
	// here.
	b.sent = k.now()
	s := k.stream(b.sent)
	s.unsent = append(s.unsent, b)
	k.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case r := <-b.done:
		return r.ttl, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// stream returns the stream for the next request. k.mu is held.
func (k *keeper) stream(now time.Duration) *beatStream {
	if s := k.cur; s != nil && !s.ended {
		oldest := now
		if len(s.waiting) > 0 {
			oldest = s.waiting[0].sent
		} else if len(s.unsent) > 0 {
			oldest = s.unsent[0].sent
		}
		if now-oldest < patience {
			return s
		}
		s.replaced = true
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(k.ctx))
	s := &beatStream{cancel: cancel, wake: make(chan struct{}, 1)}
	k.cur = s
	k.wg.Go(func() { k.run(ctx, s) })
	return s
}

func (k *keeper) run(ctx context.Context, s *beatStream) {
	err := k.serve(ctx, s)
	s.cancel()
	k.mu.Lock()
	s.ended = true
	lost := slices.Concat(s.waiting, s.unsent)
	s.waiting, s.unsent = nil, nil
	k.mu.Unlock()
	for _, b := range lost {
		b.done <- beatResult{err: err}
	}
}

func (k *keeper) serve(ctx context.Context, s *beatStream) error {
	stream, err := k.remote.LeaseKeepAlive(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	received := make(chan error, 1)
	k.wg.Go(func() { received <- k.receive(stream, s) })
	for {
		for {
			k.mu.Lock()
			if len(s.unsent) == 0 {
				k.mu.Unlock()
				break
			}
			b := s.unsent[0]
			s.unsent = s.unsent[1:]
			s.waiting = append(s.waiting, b)
			k.mu.Unlock()
			if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(b.id)}); err != nil {
				s.cancel()
				return <-received // Send says only that the stream ended, Recv says why
			}
		}
		select {
		case <-s.wake:
		case err := <-received:
			return err
		}
	}
}

func (k *keeper) receive(stream pb.Lease_LeaseKeepAliveClient, s *beatStream) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		k.mu.Lock()
		b := s.answered(clientv3.LeaseID(r.ID))
		done := s.replaced && len(s.waiting) == 0 && len(s.unsent) == 0
		k.mu.Unlock()
		if b != nil {
			k.answered(b.id, b.sent, r.TTL)
			b.done <- beatResult{ttl: r.TTL}
		}
		if done {
			return errStreamEnded
		}
	}
}

// answered takes the oldest request for id. Answers come in the order of the
// requests; were it otherwise, the oldest would still be the safe guess.
func (s *beatStream) answered(id clientv3.LeaseID) *beat {
	for i, b := range s.waiting {
		if b.id == id {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return b
		}
	}
	return nil
}
