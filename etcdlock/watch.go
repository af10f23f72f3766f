package etcdlock

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watchFuncs take what a watch brings, in order, from one goroutine.
type watchFuncs struct {
	opened func()                  // everything that happens from now on will be brought
	events func([]*clientv3.Event) // something happened
	lost   func()                  // something may be missed until opened
}

// watch watches every key that begins with prefix until ctx ends. A reconnect
// is bridged by the client; what cannot be bridged (a compaction, a server that
// lost its leader, a token that expired) opens the watch anew.
func (b *backend) watch(ctx context.Context, prefix string, opt clientv3.OpOption, f watchFuncs) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		if attempt > 0 && !pause(ctx, attempt) {
			return
		}
		started := time.Now()
		// A server cut off from its leader would keep the watch open, and
		// silent.
		wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
		var err error
		for resp := range b.client.Watch(wctx, prefix, clientv3.WithRange(rangeEnd(prefix)), clientv3.WithCreatedNotify(), opt) {
			if err = resp.Err(); err != nil {
				break
			}
			if resp.Created {
				f.opened()
			}
			if len(resp.Events) > 0 {
				f.events(resp.Events)
			}
		}
		cancel()
		f.lost()
		if ctx.Err() == nil {
			b.log.Warn("etcdlock: a watch ended and is opened again", "error", err)
		}
		if time.Since(started) > time.Minute {
			attempt = 0
		}
	}
}
