package etcdlock

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A backend is lease mode: our own leases and transactions.
type backend struct {
	admin
	owned    bool // Close closes client
	clock    driver.Clock
	log      *slog.Logger
	session  string // names this client to those who break its holds
	sink     driver.Sink
	leases   *leases
	combiner *combiner

	ctx    context.Context // of everything in the background
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	claims   map[string]*claim // by ID; guarded by mu, as are the claims
	queues   map[string]*queue // by name; guarded by mu, as are the queues
	watching bool              // for notices; guarded by mu
}

var (
	_ driver.Backend   = (*backend)(nil)
	_ driver.Pusher    = (*backend)(nil)
	_ driver.Inspector = (*backend)(nil)
	_ driver.Lister    = (*backend)(nil)
	_ driver.Breaker   = (*backend)(nil)
	_ driver.Guarder   = (*backend)(nil)
)

// A claim is what this client knows of one of its claims.
type claim struct {
	id, name, key string
	lease         *lease // that it is bound to, or was sent with
	sent          bool   // a request that may make it was sent
	inflight      int    // how many are unanswered
	tainted       bool   // the outcome of one is unknown for good
	undone        bool   // no request may make it any more
	create, mod   int64  // of its key as last seen, 0 while that is not known
	held          bool
}

func newBackend(client *clientv3.Client, keys keyspace, clock driver.Clock, log *slog.Logger, owned bool) *backend {
	b := &backend{
		owned:   owned,
		clock:   clock,
		log:     log,
		session: rand.Text(),
		sink:    noSink{},
		claims:  make(map[string]*claim),
		queues:  make(map[string]*queue),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.leases = newLeases(b.ctx, &b.wg, client, clock.SinceBoot)
	b.combiner = newCombiner(b.ctx, &b.wg, client.KV)
	b.admin = admin{client: client, keys: keys, brief: b.leases.brief}
	return b
}

// Push implements driver.Pusher.
func (b *backend) Push(to driver.Sink) { b.sink = to }

// Close revokes the leases, and every claim with them, and ends the watches.
func (b *backend) Close(ctx context.Context) error {
	err := b.leases.close(ctx)
	b.cancel()
	b.mu.Lock()
	for _, q := range b.queues {
		q.stop()
	}
	clear(b.queues)
	clear(b.claims)
	b.mu.Unlock()
	b.wg.Wait()
	// What was on its way when the leases were revoked has left by now.
	err = errors.Join(err, b.leases.close(ctx))
	if err != nil {
		err = explain(b.client, err)
	}
	if b.owned {
		err = errors.Join(err, closeClient(b.client))
	}
	return err
}

// Guard implements driver.Guarder.
func (b *backend) Guard(r driver.Ref) (any, error) {
	return Guard{Key: b.keys.claim(r.Name, r.ID), CreateRevision: int64(r.Tenure)}, nil
}

// forget drops what is known of a claim that is gone. b.mu is held.
func (b *backend) forget(c *claim) {
	if b.claims[c.id] == c {
		delete(b.claims, c.id)
	}
	if q := b.queues[c.name]; q != nil {
		q.leave(c.id)
	}
}

// gone tells that the server dropped a claim, once. created is the create
// revision of the key that was dropped: the claim may have queued up again.
func (b *backend) gone(c *claim, created int64, reason locker.LostReason, err error) {
	b.mu.Lock()
	known := b.claims[c.id] == c && !c.undone && c.create == created
	if known {
		b.forget(c)
	}
	b.mu.Unlock()
	if known {
		b.sink.Gone(c.id, reason, err)
	}
}

type noSink struct{}

func (noSink) Granted(string, uint64)                {}
func (noSink) Gone(string, locker.LostReason, error) {}
func (noSink) Ask(string)                            {}
