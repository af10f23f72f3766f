package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// A lease is one lease on the server. Its fields are guarded by leases.mu.
type lease struct {
	id         clientv3.LeaseID
	asked, ttl time.Duration // ttl as granted

	sent     time.Duration // when the last answered grant or keepalive was sent
	dead     bool          // the server dropped it, or it may have: never used or renewed again
	retired  bool          // its claims move away; nothing new is put under it
	revoking bool
	inflight int // claims on their way whose answer may bind them here
	undos    map[string]time.Duration
	undone   int // undo keys that were written under it
}

// valid reports whether the server surely still has the lease.
func (l *lease) valid(now time.Duration) bool { return !l.dead && now-l.sent < l.ttl-l.ttl/100 }

// stuck reports whether an undo has been unanswered for a third of the TTL.
// Such a lease is not renewed, so that a claim which the server may carry out
// late dies with it.
func (l *lease) stuck(now time.Duration) bool {
	for _, since := range l.undos {
		if now-since >= l.ttl/3 {
			return true
		}
	}
	return false
}

// maxUndone is how many undo keys gather under a lease before its claims move
// to a new one, and the lease goes with them.
const maxUndone = 16

// leases keeps one lease per TTL, which all claims of that TTL share. A lease
// is granted when a claim needs it and renewed only with its claims: while
// there are none it runs out on the server, and nothing needs to run here.
type leases struct {
	client *clientv3.Client
	remote pb.LeaseClient
	keeper *keeper
	now    func() time.Duration
	ctx    context.Context // ends with the backend
	wg     *sync.WaitGroup

	mu      sync.Mutex
	slots   map[int64]*slot // by seconds asked
	notices *lease
	all     map[clientv3.LeaseID]*lease
}

type slot struct {
	turn chan struct{} // has room for one: who may grant or renew
	cur  *lease        // guarded by leases.mu
}

// grantTimeout bounds a grant, which goes on when the claim that asked for it
// was cancelled: the next claim can use it.
const grantTimeout = 10 * time.Second

func newLeases(ctx context.Context, wg *sync.WaitGroup, client *clientv3.Client, now func() time.Duration) *leases {
	ls := &leases{
		client: client,
		remote: pb.NewLeaseClient(client.ActiveConnection()),
		now:    now,
		ctx:    ctx,
		wg:     wg,
		slots:  make(map[int64]*slot),
		all:    make(map[clientv3.LeaseID]*lease),
	}
	ls.keeper = &keeper{remote: ls.remote, now: now, answered: ls.renewed, ctx: ctx, wg: wg}
	return ls
}

func seconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }

// get returns a lease for claims of ttl, of which at least half of its TTL is
// left. Call done with it when the claim was answered.
func (ls *leases) get(ctx context.Context, ttl time.Duration) (*lease, error) {
	secs := seconds(ttl)
	ls.mu.Lock()
	s := ls.slots[secs]
	if s == nil {
		ls.dropIdle()
		s = &slot{turn: make(chan struct{}, 1)}
		ls.slots[secs] = s
	}
	if l := ls.ready(s); l != nil {
		l.inflight++
		ls.mu.Unlock()
		return l, nil
	}
	ls.mu.Unlock()

	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	type result struct {
		l   *lease
		err error
	}
	got := make(chan result, 1)
	ls.wg.Go(func() {
		defer func() { <-s.turn }()
		l, err := ls.fresh(s, secs)
		got <- result{l, err}
	})
	select {
	case r := <-got:
		return r.l, r.err
	case <-ctx.Done():
		ls.wg.Go(func() {
			if r := <-got; r.l != nil {
				ls.done(r.l)
			}
		})
		return nil, context.Cause(ctx)
	}
}

// done ends what get began.
func (ls *leases) done(l *lease) {
	ls.mu.Lock()
	l.inflight--
	ls.mu.Unlock()
}

// ready returns the lease of s if it needs no request. ls.mu is held.
func (ls *leases) ready(s *slot) *lease {
	now := ls.now()
	if l := s.cur; l != nil && !l.dead && !l.retired && now-l.sent <= l.ttl/2 && !l.stuck(now) && l.undone < maxUndone {
		return l
	}
	return nil
}

// fresh renews the lease of s, or grants one. It runs in the turn of s.
func (ls *leases) fresh(s *slot, secs int64) (*lease, error) {
	ctx, cancel := context.WithTimeout(ls.ctx, grantTimeout)
	defer cancel()
	ls.mu.Lock()
	old := s.cur
	now := ls.now()
	usable := old != nil && old.valid(now) && !old.retired && !old.stuck(now) && old.undone < maxUndone
	ls.mu.Unlock()
	if usable {
		if ttl, err := ls.keeper.beat(ctx, old.id); err != nil {
			return nil, err
		} else if ttl > 0 {
			ls.mu.Lock()
			defer ls.mu.Unlock()
			old.inflight++
			return old, nil
		}
	}
	l, err := ls.grant(ctx, secs)
	if err != nil {
		return nil, err
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if old != nil {
		old.retired = true
		if !old.valid(ls.now()) {
			ls.drop(old)
		}
	}
	ls.all[l.id] = l
	s.cur = l
	l.inflight++
	return l, nil
}

// grant asks for a lease under an ID of our own choice, so that one whose
// answer was lost can be given back.
func (ls *leases) grant(ctx context.Context, secs int64) (*lease, error) {
	for {
		id := rand.Int64N(1<<62) + 1
		sent := ls.now()
		r, err := ls.remote.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: secs}, grpc.WaitForReady(true))
		switch {
		case err == nil && r.Error != "":
			return nil, fmt.Errorf("%w: the lease was not granted: %s", locker.ErrUnavailable, r.Error)
		case err == nil:
			return &lease{id: clientv3.LeaseID(r.ID), asked: time.Duration(secs) * time.Second, ttl: time.Duration(r.TTL) * time.Second, sent: sent}, nil
		case errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseExist):
			continue
		case !refused(err):
			ls.mu.Lock()
			lost := &lease{id: clientv3.LeaseID(id)}
			ls.all[lost.id] = lost
			ls.drop(lost)
			ls.mu.Unlock()
		}
		return nil, err
	}
}

// renewed takes the answer to a keepalive, however late.
func (ls *leases) renewed(id clientv3.LeaseID, sent time.Duration, ttl int64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.all[id]
	switch {
	case l == nil:
	case ttl <= 0:
		l.dead = true
	case sent > l.sent:
		l.sent = sent
	}
}

// drop gives up a lease on which nothing depends any more. ls.mu is held.
func (ls *leases) drop(l *lease) {
	l.dead, l.retired = true, true
	if ls.all[l.id] == l && !l.revoking {
		l.revoking = true
		ls.revoke(l.id)
	}
}

// dropIdle forgets the TTLs that are no longer in use. ls.mu is held.
func (ls *leases) dropIdle() {
	now := ls.now()
	for secs, s := range ls.slots {
		if s.cur != nil && !s.cur.valid(now) && s.cur.inflight == 0 && len(s.turn) == 0 {
			ls.drop(s.cur)
			delete(ls.slots, secs)
		}
	}
}

// revoke gives a lease back in the background. What cannot be revoked runs out;
// close tries it once more if it comes first.
func (ls *leases) revoke(id clientv3.LeaseID) {
	ls.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ls.ctx, grantTimeout)
		defer cancel()
		if _, err := ls.client.Revoke(ctx, id); err != nil && ls.ctx.Err() != nil {
			return
		}
		ls.mu.Lock()
		delete(ls.all, id)
		ls.mu.Unlock()
	})
}

// close revokes every lease, and with them every key, side by side.
func (ls *leases) close(ctx context.Context) error {
	ls.mu.Lock()
	ids := make([]clientv3.LeaseID, 0, len(ls.all))
	for id := range ls.all {
		ids = append(ids, id)
	}
	clear(ls.all)
	ls.mu.Unlock()
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			if _, err := ls.client.Revoke(ctx, id); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// briefTTL is how long a notice stays.
const briefTTL = 5 * time.Second

// brief returns a lease for notices, which is never renewed.
func (ls *leases) brief(ctx context.Context) (clientv3.LeaseID, error) {
	ls.mu.Lock()
	l := ls.notices
	ls.mu.Unlock()
	if l != nil && ls.now()-l.sent < l.ttl/2 {
		return l.id, nil
	}
	l, err := ls.grant(ctx, seconds(briefTTL))
	if err != nil {
		return 0, err
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if old := ls.notices; old != nil && !old.valid(ls.now()) {
		ls.drop(old)
	}
	ls.notices = l
	ls.all[l.id] = l
	return l.id, nil
}
