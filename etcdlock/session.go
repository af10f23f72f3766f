package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// A sessionBackend is session mode: etcd's own Session and Mutex.
type sessionBackend struct {
	admin
	owned  bool // Close closes client
	clock  driver.Clock
	log    *slog.Logger
	sink   driver.Sink
	leases *leases        // grants, keepalives and revocations; sessions are taken from idle
	lease  clientv3.Lease // the sessions' own keepalives, ended by Close

	ctx    context.Context // of everything in the background
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closing bool
	claims  map[string]*sessionClaim // by ID
	idle    map[int64]*lease         // at most one for each TTL, by seconds
}

var (
	_ driver.Backend   = (*sessionBackend)(nil)
	_ driver.Pusher    = (*sessionBackend)(nil)
	_ driver.Inspector = (*sessionBackend)(nil)
	_ driver.Lister    = (*sessionBackend)(nil)
	_ driver.Breaker   = (*sessionBackend)(nil)
	_ driver.Guarder   = (*sessionBackend)(nil)
)

// A sessionClaim is one claim and the Mutex that it is made with.
type sessionClaim struct {
	id, name string
	hold     *sessionHold
	mutex    *concurrency.Mutex // owned by the goroutine that locks, until done
	stop     context.CancelFunc // of that goroutine
	done     chan struct{}      // closed when it has ended

	// Guarded by sessionBackend.mu; err and tenure are set before done.
	err     error
	tenure  uint64
	queued  bool // Claim has answered so; what follows is pushed
	leaving bool
}

func newSessionBackend(client *clientv3.Client, keys keyspace, clock driver.Clock, log *slog.Logger, owned bool) *sessionBackend {
	b := &sessionBackend{
		owned:  owned,
		clock:  clock,
		log:    log,
		sink:   noSink{},
		lease:  clientv3.NewLease(client),
		claims: make(map[string]*sessionClaim),
		idle:   make(map[int64]*lease),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.leases = newLeases(b.ctx, &b.wg, client, clock.SinceBoot)
	b.admin = admin{client: client, keys: keys, brief: b.leases.brief}
	return b
}

// Push implements driver.Pusher.
func (b *sessionBackend) Push(to driver.Sink) { b.sink = to }

// Claim implements driver.Backend. Repeated, it tells where the claim stands;
// another owner, metadata or TTL changes nothing, because a Mutex writes none.
func (b *sessionBackend) Claim(ctx context.Context, want driver.Claim) (driver.Answer, error) {
	b.mu.Lock()
	c := b.claims[want.ID]
	if c != nil && c.hold != nil {
		b.mu.Unlock()
		return b.repeated(ctx, c)
	}
	// A Release from here on finds the claim, even before it has a session.
	c = &sessionClaim{id: want.ID, name: want.Name}
	b.claims[want.ID] = c
	b.mu.Unlock()
	for lost := 0; ; lost++ {
		h, err := b.take(ctx, seconds(want.TTL))
		if err != nil {
			b.drop(c)
			return driver.Answer{}, explain(b.client, err)
		}
		if !b.begin(c, h, want.Try) {
			b.giveBack(h)
			return driver.Answer{State: driver.Gone, Err: errUndone}, nil
		}
		select {
		case <-c.done:
		case <-h.seen.queued:
			if !want.Try {
				return b.waiting(c)
			}
			<-c.done // TryLock takes its key away again
		case <-ctx.Done():
			return driver.Answer{}, context.Cause(ctx) // Release undoes it
		}
		switch {
		case c.err == nil:
			return driver.Answer{State: driver.Held, Tenure: c.tenure, TTL: h.lease.ttl, From: b.leases.counted(h.lease)}, nil
		case errors.Is(c.err, concurrency.ErrLocked):
			b.drop(c)
			b.giveBack(h)
			return driver.Answer{State: driver.Refused, TTL: h.lease.ttl, Holder: h.seen.holder()}, nil
		case isLeaseGone(c.err) && lost < 2:
			h.session.Orphan()
			b.giveUp(h.lease)
		default:
			return driver.Answer{}, explain(b.client, c.err)
		}
	}
}

// begin starts the Mutex of a claim. It blocks until it holds, so it runs in a
// goroutine, under a context that Release and the end of the session cancel: a
// Mutex whose lease was revoked would wait on for its predecessor (etcd #19597).
//
// It reports false, and begins nothing, if the claim was released meanwhile.
func (b *sessionBackend) begin(c *sessionClaim, h *sessionHold, try bool) bool {
	ctx, stop := context.WithCancel(clientv3.WithRequireLeader(b.ctx))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claims[c.id] != c || c.leaving {
		stop()
		return false
	}
	c.hold, c.stop, c.done = h, stop, make(chan struct{})
	c.mutex = concurrency.NewMutex(h.session, strings.TrimSuffix(b.keys.line(c.name), "/"))
	b.wg.Go(func() {
		defer stop()
		unhook := context.AfterFunc(h.session.Ctx(), stop)
		var err error
		if try {
			err = c.mutex.TryLock(ctx)
		} else {
			err = c.mutex.Lock(ctx)
		}
		unhook()
		b.locked(c, err)
	})
	return true
}

// locked takes what the Mutex returned.
func (b *sessionBackend) locked(c *sessionClaim, err error) {
	b.mu.Lock()
	c.err = err
	if err == nil {
		owner := c.mutex.IsOwner()
		c.tenure = uint64(owner.GetCompare().GetCreateRevision())
	}
	close(c.done)
	if err == nil {
		// The end of the session need not be that of its lease: it also ends
		// when its own keepalives were late. The next renewal tells.
		context.AfterFunc(c.hold.session.Ctx(), func() { b.sink.Ask(c.id) })
	}
	tell := c.queued && !c.leaving && b.claims[c.id] == c
	b.mu.Unlock()
	if !tell {
		return
	}
	if err == nil {
		b.sink.Granted(c.id, c.tenure)
		return
	}
	b.lost(c, locker.LostEvicted, explain(b.client, err))
}

// waiting answers that the Mutex waits, unless it has just stopped to.
func (b *sessionBackend) waiting(c *sessionClaim) (driver.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := driver.Answer{State: driver.Queued, TTL: c.hold.lease.ttl, From: b.leases.counted(c.hold.lease), Holder: c.hold.seen.holder()}
	select {
	case <-c.done:
		if c.err != nil {
			return driver.Answer{}, explain(b.client, c.err)
		}
		a.State, a.Tenure, a.Holder = driver.Held, c.tenure, locker.Holder{}
	default:
		c.queued = true
	}
	return a, nil
}

// repeated answers a claim that is known.
func (b *sessionBackend) repeated(ctx context.Context, c *sessionClaim) (driver.Answer, error) {
	if ttl, err := b.leases.keeper.beat(ctx, c.hold.lease.id); err != nil {
		return driver.Answer{}, explain(b.client, err)
	} else if ttl <= 0 {
		b.lost(c, locker.LostEvicted, nil)
		return driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}, nil
	}
	select {
	case <-c.done:
	case <-c.hold.seen.queued:
	case <-ctx.Done():
		return driver.Answer{}, context.Cause(ctx)
	}
	if b.failed(c) {
		// A Mutex is locked once: it would answer with that error for ever. The
		// server may have its key, or get it yet, so its lease goes with it; the
		// engine joins anew.
		b.lost(c, locker.LostEvicted, nil)
		return driver.Answer{State: driver.Gone, Reason: locker.LostEvicted}, nil
	}
	return b.waiting(c)
}

// failed reports whether the Mutex of a claim has ended without the lock.
func (b *sessionBackend) failed(c *sessionClaim) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.done:
		return c.err != nil
	default:
		return false
	}
}

// drop forgets a claim.
func (b *sessionBackend) drop(c *sessionClaim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claims[c.id] == c {
		delete(b.claims, c.id)
	}
}

// lost tells that a claim is gone, once, and gives its session up.
func (b *sessionBackend) lost(c *sessionClaim, reason locker.LostReason, err error) {
	if b.dropUnlessLeaving(c) {
		b.end(c)
		b.sink.Gone(c.id, reason, err)
	}
}

// dropUnlessLeaving forgets a claim that Release has not taken over, and reports
// whether it did.
func (b *sessionBackend) dropUnlessLeaving(c *sessionClaim) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.claims[c.id] == c && !c.leaving
	if known {
		delete(b.claims, c.id)
	}
	return known
}

// end stops the Mutex of a claim that is gone, and gives its session up.
func (b *sessionBackend) end(c *sessionClaim) {
	c.stop()
	b.wg.Go(func() {
		<-c.done
		c.hold.session.Orphan()
		b.giveUp(c.hold.lease)
	})
}

// Close implements driver.Backend.
func (b *sessionBackend) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	// Revoking the leases takes the keys away and ends the sessions, and with
	// them the Mutexes that wait.
	err := b.leases.close(ctx)
	b.cancel()
	b.wg.Wait()
	// What was on its way when the leases were revoked has left by now.
	err = errors.Join(err, b.leases.close(ctx))
	err = errors.Join(err, b.lease.Close())
	if err != nil {
		err = explain(b.client, err)
	}
	if b.owned {
		err = errors.Join(err, closeClient(b.client))
	}
	return err
}

// Guard implements driver.Guarder.
func (b *sessionBackend) Guard(r driver.Ref) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.claims[r.ID]
	if c == nil || c.hold == nil {
		return nil, fmt.Errorf("etcdlock: %w", locker.ErrNotHeld)
	}
	return Guard{Key: b.key(c), CreateRevision: int64(r.Tenure)}, nil
}

// key is the key of a claim: a Mutex names it after its lease.
func (b *sessionBackend) key(c *sessionClaim) string {
	return fmt.Sprintf("%s%x", b.keys.line(c.name), c.hold.lease.id)
}

// holder is what is known of whom the Mutex waits for.
func (o *observer) holder() locker.Holder {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == 0 {
		return locker.Holder{}
	}
	return locker.Holder{Token: driver.Token(uint64(o.first))}
}

func isLeaseGone(err error) bool { return errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) }
