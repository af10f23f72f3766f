package etcdlock

import (
	"context"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A combiner sends the small transactions of many goroutines as few large ones:
// what comes while others are on their way waits for them, and then travels
// together, as one Txn of nested Txns. A goroutine that is alone never waits.
//
// etcd evaluates every compare of a Txn before it carries out any of its parts,
// and whatever one Txn creates has one create revision. So two requests about
// the same name never travel together.
type combiner struct {
	kv  clientv3.KV
	ctx context.Context // ends with the backend
	wg  *sync.WaitGroup

	mu      sync.Mutex
	queued  []*part
	flights map[*flight]struct{}
	nudge   *time.Timer // sends what waits for flights that hang
}

const (
	maxFlights = 2  // further requests wait and combine
	maxParts   = 64 // nested Txns count against etcd's limit of 128 operations
	// A flight that takes this long does not hold others back.
	flightPatience = 25 * time.Millisecond
)

// A part is one small transaction.
type part struct {
	name        string // what it is about
	cmps        []clientv3.Cmp
	then, other []clientv3.Op

	flight *flight // guarded by combiner.mu
	done   chan struct{}
	resp   *clientv3.TxnResponse
	err    error
}

// A flight is one request on its way.
type flight struct {
	began  time.Time
	cancel context.CancelFunc
	wanted int // parts whose callers still wait; guarded by combiner.mu
}

func newCombiner(ctx context.Context, wg *sync.WaitGroup, kv clientv3.KV) *combiner {
	return &combiner{kv: kv, ctx: ctx, wg: wg, flights: make(map[*flight]struct{})}
}

// do carries p out. When ctx ends first, the outcome is unknown.
func (c *combiner) do(ctx context.Context, p *part) (*clientv3.TxnResponse, error) {
	p.done = make(chan struct{})
	c.mu.Lock()
	c.queued = append(c.queued, p)
	c.launch()
	c.mu.Unlock()
	select {
	case <-p.done:
		return p.resp, p.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := p.flight; f != nil {
		if f.wanted--; f.wanted == 0 {
			f.cancel()
		}
	} else {
		for i, q := range c.queued {
			if q == p {
				c.queued = append(c.queued[:i:i], c.queued[i+1:]...)
				break
			}
		}
	}
	return nil, context.Cause(ctx)
}

// launch sends what is queued if it may leave. mu is held.
func (c *combiner) launch() {
	for len(c.queued) > 0 {
		busy := 0
		now := time.Now()
		for f := range c.flights {
			if now.Sub(f.began) < flightPatience {
				busy++
			}
		}
		if busy >= maxFlights {
			if c.nudge == nil {
				c.nudge = time.AfterFunc(flightPatience, func() {
					c.mu.Lock()
					defer c.mu.Unlock()
					c.nudge = nil
					if c.ctx.Err() == nil {
						c.launch()
					}
				})
			}
			return
		}
		c.send(c.board(), now)
	}
}

// board takes the parts of the next flight out of the queue. mu is held.
func (c *combiner) board() []*part {
	var parts, rest []*part
	names := make(map[string]struct{}, len(c.queued))
	for _, p := range c.queued {
		if _, twice := names[p.name]; twice || len(parts) == maxParts {
			rest = append(rest, p)
			continue
		}
		names[p.name] = struct{}{}
		parts = append(parts, p)
	}
	c.queued = rest
	return parts
}

// send lets parts leave. mu is held.
func (c *combiner) send(parts []*part, now time.Time) {
	ctx, cancel := context.WithCancel(c.ctx)
	f := &flight{began: now, cancel: cancel, wanted: len(parts)}
	for _, p := range parts {
		p.flight = f
	}
	c.flights[f] = struct{}{}
	c.wg.Go(func() {
		c.fly(ctx, parts)
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, f)
		c.launch()
	})
}

// fly carries parts out and answers each.
func (c *combiner) fly(ctx context.Context, parts []*part) {
	if len(parts) == 1 {
		p := parts[0]
		p.answer(c.kv.Txn(ctx).If(p.cmps...).Then(p.then...).Else(p.other...).Commit())
		return
	}
	ops := make([]clientv3.Op, len(parts))
	for i, p := range parts {
		ops[i] = clientv3.OpTxn(p.cmps, p.then, p.other)
	}
	resp, err := c.kv.Txn(ctx).Then(ops...).Commit()
	switch {
	case err == nil:
		for i, p := range parts {
			nested := resp.Responses[i].GetResponseTxn()
			p.answer((*clientv3.TxnResponse)(&pb.TxnResponse{
				Header: resp.Header, Succeeded: nested.Succeeded, Responses: nested.Responses,
			}), nil)
		}
	case refused(err):
		// One part that the server refuses, for a lease that is gone, say, fails
		// all of them, and none was carried out: each tries by itself.
		var wg sync.WaitGroup
		for _, p := range parts {
			wg.Go(func() { c.fly(ctx, []*part{p}) })
		}
		wg.Wait()
	default:
		for _, p := range parts {
			p.answer(nil, err)
		}
	}
}

func (p *part) answer(resp *clientv3.TxnResponse, err error) {
	p.resp, p.err = resp, err
	close(p.done)
}
