package etcdlock

import (
	"context"
	"strings"

	"github.com/lockerlib/locker"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// watchNotices begins to watch for notices of broken holds, once, with the
// first hold. b.mu is held.
func (b *backend) watchNotices() {
	if b.watching {
		return
	}
	b.watching = true
	prefix := b.keys.notices(b.session)
	b.wg.Go(func() {
		b.watch(b.ctx, prefix, clientv3.WithFilterDelete(), watchFuncs{
			opened: func() { b.wg.Go(func() { b.readNotices(prefix) }) },
			events: func(events []*clientv3.Event) {
				for _, ev := range events {
					b.broken(strings.TrimPrefix(string(ev.Kv.Key), prefix))
				}
			},
			lost: func() {},
		})
	})
}

// readNotices finds those that came before the watch was open. It is an
// optimisation: the next renewal finds the claim gone, too.
func (b *backend) readNotices(prefix string) {
	ctx, cancel := context.WithTimeout(b.ctx, listTimeout)
	defer cancel()
	resp, err := b.client.Get(ctx, prefix, clientv3.WithRange(rangeEnd(prefix)), clientv3.WithKeysOnly())
	if err != nil {
		return
	}
	for _, kv := range resp.Kvs {
		b.broken(strings.TrimPrefix(string(kv.Key), prefix))
	}
}

func (b *backend) broken(id string) {
	b.mu.Lock()
	c := b.claims[id]
	var created int64
	if c != nil {
		created = c.create
	}
	b.mu.Unlock()
	// An ID is held once: a claim that queued up again was never broken.
	if c != nil && created != 0 {
		b.gone(c, created, locker.LostBroken, nil)
	}
}
