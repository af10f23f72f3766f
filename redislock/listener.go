package redislock

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/redis/go-redis/v9"
)

// checkEvery is how often a silent subscription is asked whether it is alive;
// without an answer by the next time it is replaced.
const checkEvery = 10 * time.Second

// A listener keeps the one subscription of a client, from when it is first
// wanted.
//
// A push can be missed while the subscription is not in place: before it is
// confirmed, and between the loss of a connection and the confirmation on the
// next. So whenever it is confirmed, the engine is told to ask about every
// claim: whatever happens to a claim after that answer is pushed. A connection
// that is dead without a sign is found by a ping, and until then a renewal
// tells a waiting claim that it was granted.
type listener struct {
	client  redis.UniversalClient
	server  server
	channel string
	log     *slog.Logger
	sink    driver.Sink
	claims  func() []string // that wait or hold

	confirmed atomic.Uint64 // how often the subscription was confirmed
	up        atomic.Bool

	mu      sync.Mutex // guards the following
	started bool
	closed  bool
	pubsub  *redis.PubSub
	cancel  context.CancelFunc

	done chan struct{} // closed when the goroutine of a started listener ended
}

// start makes the listener subscribe, without waiting for it.
func (l *listener) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started || l.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.started, l.cancel, l.done = true, cancel, make(chan struct{})
	go l.run(ctx)
}

func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		l.listen(ctx)
	}
}

// listen uses one PubSub for as long as it works. The PubSub connects and
// subscribes again by itself when its connection breaks.
func (l *listener) listen(ctx context.Context) {
	pubsub := l.open(ctx)
	if pubsub == nil {
		return
	}
	var heard atomic.Bool
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { l.watch(ctx, pubsub, &heard, stop) })
	defer func() {
		close(stop)
		_ = pubsub.Close()
		watch.Wait()
		l.up.Store(false)
	}()

	failures := 0
	err := pubsub.Subscribe(ctx, l.channel)
	for {
		var msg any
		if err == nil {
			// No time limit: one that struck in the middle of a message would
			// leave the rest of it to be read as the next.
			msg, err = pubsub.Receive(ctx)
		}
		if err != nil {
			l.up.Store(false)
			if ctx.Err() != nil {
				return
			}
			failures++
			l.log.Warn("locker: subscription interrupted", "server", l.server.address, "error", l.server.fault(err))
			if failures > 1 && !pause(ctx, failures) {
				return
			}
			if errors.Is(err, redis.ErrClosed) { // by watch
				return
			}
			err = nil
			continue
		}
		failures = 0
		heard.Store(true)
		switch msg := msg.(type) {
		case *redis.Subscription:
			if msg.Kind == "subscribe" {
				l.askAll()
			}
		case *redis.Message:
			l.handle(msg.Payload)
		}
	}
}

// open makes a PubSub that close can find. It does not connect yet.
func (l *listener) open(ctx context.Context) *redis.PubSub {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.pubsub = l.client.Subscribe(ctx)
	return l.pubsub
}

// watch closes pubsub when nothing was heard of it although it was pinged.
func (l *listener) watch(ctx context.Context, pubsub *redis.PubSub, heard *atomic.Bool, stop <-chan struct{}) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	pinged := false
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		switch {
		case heard.Swap(false):
			pinged = false
		case !pinged:
			_ = pubsub.Ping(ctx) // a failure shows as silence
			pinged = true
		default:
			l.log.Warn("locker: subscription silent, replacing it", "server", l.server.address)
			_ = pubsub.Close()
			return
		}
	}
}

// askAll is called when the subscription is in place. The count is raised
// before the claims are asked about: a Claim that was on its way then sees
// that it must look again (see backend.Claim).
func (l *listener) askAll() {
	l.up.Store(true)
	l.confirmed.Add(1)
	for _, id := range l.claims() {
		l.sink.Ask(id)
	}
}

// handle takes a push: "granted ID TENURE" or "broken ID". What it does not
// know it ignores; anybody may publish.
func (l *listener) handle(payload string) {
	kind, rest, _ := strings.Cut(payload, " ")
	switch kind {
	case "granted":
		id, number, _ := strings.Cut(rest, " ")
		if tenure, err := strconv.ParseUint(number, 10, 64); err == nil && tenure > 0 && tenure <= driver.MaxTenure {
			l.sink.Granted(id, tenure)
		}
	case "broken":
		l.sink.Gone(rest, locker.LostBroken, nil)
	}
}

// close ends the subscription and returns when its goroutine has ended, or when
// ctx ends.
func (l *listener) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	started, pubsub := l.started, l.pubsub
	l.mu.Unlock()
	if !started {
		return nil
	}
	l.cancel()
	if pubsub != nil {
		// In a goroutine of its own: Close waits for a connection attempt that
		// is under way, which ends with its context, but not in every client.
		go func() { _ = pubsub.Close() }()
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits longer with every failure, up to two seconds.
func pause(ctx context.Context, failures int) bool {
	most := min(50*time.Millisecond<<min(failures, 10), 2*time.Second)
	timer := time.NewTimer(most/2 + rand.N(most/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
