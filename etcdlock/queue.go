package etcdlock

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/lockerlib/locker"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A queue follows the claims of one contended name, by one watch that stays
// open while this client waits there, and a while longer: a watch that is
// opened for each wait, at a revision that has passed, first hears from the
// server after up to 100 ms.
//
// Who was created first holds the name, and nothing that comes later can get in
// front. So a waiting claim only needs to know which claims were in front of it
// at one revision, and to see each of them deleted; then it holds, without
// another read. No deletion is missed: the watch is open before that revision
// is read, be it by the claim's own Txn or by a list, so whatever is there at
// that revision is deleted after the watch began. What the watch delivers
// before the answer of the read is processed is kept in recent meanwhile.
type queue struct {
	b    *backend
	name string
	line string
	stop context.CancelFunc

	// Guarded by backend.mu.
	open    bool // every deletion from here on will be delivered
	gen     int  // how often it was opened
	pending int  // reads whose answer is not processed
	recent  map[string]int64
	waiters map[string]*waiter // by claim ID
	listing bool
	idle    *time.Timer
}

// A waiter is a claim of this client that waits, in one place: when the claim
// queues up again, with another create revision, it is another waiter.
type waiter struct {
	c      *claim
	create int64
	known  bool             // before and more are of this opening of the watch
	before map[string]int64 // create revisions by key, of those in front
	more   bool             // there are more in front than before holds
}

// queueLinger is how long a watch stays open after the last wait, for a client
// that comes back soon.
const queueLinger = 5 * time.Second

// A queueView is a queue whose watch was open when a read was sent, or empty.
type queueView struct {
	q   *queue
	gen int
}

// expect notes that a read of the queue is sent. backend.mu is held.
func (q *queue) expect() queueView {
	if q == nil || !q.open {
		return queueView{}
	}
	q.pending++
	return queueView{q, q.gen}
}

// settle notes that the read was processed. backend.mu is held.
func (v queueView) settle() {
	if v.q == nil {
		return
	}
	v.q.pending--
	if v.q.pending == 0 {
		clear(v.q.recent)
	}
}

// current reports whether every deletion since the read was sent is in recent,
// or will be delivered.
func (v queueView) current() bool { return v.q != nil && v.q.open && v.q.gen == v.gen }

// enqueue makes c wait, and reports whether it need not. b.mu is held.
func (b *backend) enqueue(c *claim, read queueView, v view) (granted bool) {
	q := b.queues[c.name]
	if q == nil {
		line := b.keys.line(c.name)
		ctx, cancel := context.WithCancel(b.ctx)
		q = &queue{b: b, name: c.name, line: line, stop: cancel, recent: make(map[string]int64), waiters: make(map[string]*waiter)}
		b.queues[c.name] = q
		b.wg.Go(func() { q.follow(ctx) })
	}
	if q.idle != nil {
		q.idle.Stop()
		q.idle = nil
	}
	w := &waiter{c: c, create: c.create}
	q.waiters[c.id] = w
	if read.q == q && read.current() {
		return q.place(w, v.ahead)
	}
	q.list()
	return false
}

// place notes who is in front of w according to the first claims of the line,
// and reports whether nobody is any more. backend.mu is held.
func (q *queue) place(w *waiter, ahead []*mvccpb.KeyValue) (granted bool) {
	w.known, w.more = true, len(ahead) == lookahead
	w.before = make(map[string]int64, len(ahead))
	for _, kv := range ahead {
		if kv.CreateRevision >= w.create {
			w.more = false
			break
		}
		if q.recent[string(kv.Key)] <= kv.CreateRevision {
			w.before[string(kv.Key)] = kv.CreateRevision
		}
	}
	return q.advance(w)
}

// advance grants w if nobody is in front, and looks further if nobody is known
// to be. backend.mu is held.
func (q *queue) advance(w *waiter) (granted bool) {
	switch {
	case w.c.create != w.create:
		return false
	case len(w.before) > 0:
		return false
	case w.more:
		w.known = false
		q.list()
		return false
	}
	w.c.held = true
	q.leave(w.c.id)
	return true
}

// leave ends the wait of a claim. backend.mu is held.
func (q *queue) leave(id string) {
	delete(q.waiters, id)
	if len(q.waiters) > 0 || q.idle != nil {
		return
	}
	q.idle = time.AfterFunc(queueLinger, func() {
		q.b.mu.Lock()
		defer q.b.mu.Unlock()
		switch {
		case q.b.queues[q.name] != q || len(q.waiters) > 0:
		case q.pending > 0:
			q.idle.Reset(queueLinger)
		default:
			q.stop()
			delete(q.b.queues, q.name)
		}
	})
}

// follow keeps the watch open until ctx ends.
func (q *queue) follow(ctx context.Context) {
	q.b.watch(ctx, q.line, clientv3.WithFilterPut(), watchFuncs{
		opened: q.opened,
		events: q.deleted,
		lost: func() {
			q.b.mu.Lock()
			defer q.b.mu.Unlock()
			q.open = false
			for _, w := range q.waiters {
				w.known = false
			}
		},
	})
}

func (q *queue) opened() {
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	q.open = true
	q.gen++
	clear(q.recent)
	q.list()
}

// deleted takes what the watch delivers.
func (q *queue) deleted(events []*clientv3.Event) {
	var granted []*waiter
	lost := make(map[*claim]int64)
	q.b.mu.Lock()
	for _, ev := range events {
		key, at := string(ev.Kv.Key), ev.Kv.ModRevision
		if q.pending > 0 {
			q.recent[key] = at
		}
		for _, w := range q.waiters {
			// A key that was deleted and made again stands further back; the
			// notice of its first deletion must not count for the second key.
			if created, ok := w.before[key]; ok && at > created {
				delete(w.before, key)
				if w.known && q.advance(w) {
					granted = append(granted, w)
				}
			}
		}
		if c := q.b.claims[strings.TrimPrefix(key, q.line)]; c != nil && !c.undone && c.create != 0 && at > c.create {
			lost[c] = c.create
		}
	}
	q.b.mu.Unlock()
	for _, w := range granted {
		q.b.granted(w)
	}
	for c, created := range lost {
		q.b.wg.Go(func() { q.b.vanished(c, created) })
	}
}

// granted pushes a grant.
func (b *backend) granted(w *waiter) {
	b.mu.Lock()
	b.watchNotices()
	b.mu.Unlock()
	b.sink.Granted(w.c.id, uint64(w.create))
}

// list reads, in the background, who is in front of the waiters of whom that is
// not known. backend.mu is held.
func (q *queue) list() {
	if q.listing || !q.open {
		return // the one that runs looks again; opening begins one
	}
	q.listing = true
	q.b.wg.Go(func() {
		for attempt := 0; q.listOnce(); attempt++ {
			if attempt > 0 && !pause(q.b.ctx, attempt) {
				return
			}
		}
	})
}

// listOnce makes one attempt and reports whether another is needed.
func (q *queue) listOnce() (again bool) {
	b := q.b
	b.mu.Lock()
	var unknown []*waiter
	for _, w := range q.waiters {
		if !w.known && len(unknown) < maxOps-1 {
			unknown = append(unknown, w)
		}
	}
	if len(unknown) == 0 || !q.open || b.queues[q.name] != q {
		q.listing = false
		b.mu.Unlock()
		return false
	}
	read := q.expect()
	b.mu.Unlock()

	ops := []clientv3.Op{clientv3.OpGet(q.line, clientv3.WithRange(rangeEnd(q.line)), clientv3.WithKeysOnly(),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend), clientv3.WithLimit(lookahead))}
	for _, w := range unknown {
		ops = append(ops, clientv3.OpGet(w.c.key, clientv3.WithKeysOnly()))
	}
	ctx, cancel := context.WithTimeout(b.ctx, listTimeout)
	defer cancel()
	resp, err := b.client.Txn(ctx).Then(ops...).Commit()

	var granted []*waiter
	lost := make(map[*claim]int64)
	b.mu.Lock()
	if err == nil && read.current() {
		ahead := resp.Responses[0].GetResponseRange().Kvs
		for i, w := range unknown {
			own := resp.Responses[i+1].GetResponseRange().Kvs
			switch {
			case q.waiters[w.c.id] != w:
			case len(own) == 0 || own[0].CreateRevision != w.create:
				w.known = true
				lost[w.c] = w.create
			case q.place(w, ahead):
				granted = append(granted, w)
			}
		}
	}
	read.settle()
	b.mu.Unlock()
	for _, w := range granted {
		b.granted(w)
	}
	for c, created := range lost {
		b.vanished(c, created)
	}
	return true
}

const listTimeout = 5 * time.Second

// vanished finds out why a claim is gone, and tells.
func (b *backend) vanished(c *claim, created int64) {
	b.mu.Lock()
	reason := b.reasonLocked(c)
	b.mu.Unlock()
	// Whoever broke the claim left a notice in the same Txn. Reading it takes a
	// round trip; without an answer the loss is told all the same.
	ctx, cancel := context.WithTimeout(b.ctx, noticeTimeout)
	defer cancel()
	if resp, err := b.client.Get(ctx, b.keys.notices(b.session)+c.id, clientv3.WithCountOnly()); err == nil && resp.Count > 0 {
		reason = locker.LostBroken
	}
	b.gone(c, created, reason, nil)
}

const noticeTimeout = 250 * time.Millisecond

// pause waits before another attempt, and reports whether there is one.
func pause(ctx context.Context, attempt int) bool {
	d := min(50*time.Millisecond<<min(attempt, 6), 2*time.Second)
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
