package etcdlock

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func benchClient(b *testing.B) *clientv3.Client {
	b.Helper()
	addr := endpoint(b)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkRaw is the floor: a transaction that creates a key, and a delete.
func BenchmarkRaw(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			c := benchClient(b)
			spread(b, n, func(i int) error {
				key := fmt.Sprintf("bench/raw/%d", i)
				if _, err := c.Txn(context.Background()).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
					Then(clientv3.OpPut(key, "")).Commit(); err != nil {
					return err
				}
				_, err := c.Delete(context.Background(), key)
				return err
			})
		})
	}
}

func BenchmarkCycle(b *testing.B) {
	for _, mode := range []Mode{Lease, Session} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("mode=%v/names=%d", mode, n), func(b *testing.B) {
				l, err := New(benchClient(b), WithPrefix(fmt.Sprintf("bench/%d", time.Now().UnixNano())), WithMode(mode))
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				spread(b, n, func(i int) error {
					lock, err := l.Acquire(context.Background(), fmt.Sprintf("n%d", i))
					if err != nil {
						return err
					}
					return lock.Release(context.Background())
				})
			})
		}
	}
}

// spread runs b.N cycles on n names at a time.
func spread(b *testing.B, n int, cycle func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range n {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if err := cycle(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkHandoff passes a name between two clients; the time is that of one
// handoff, from the Release to the grant.
func BenchmarkHandoff(b *testing.B) {
	for _, mode := range []Mode{Lease, Session} {
		b.Run(fmt.Sprintf("mode=%v", mode), func(b *testing.B) {
			pfx := fmt.Sprintf("bench/%d", time.Now().UnixNano())
			lockers := make([]locker.Locker, 2)
			for i := range lockers {
				l, err := New(benchClient(b), WithPrefix(pfx), WithMode(mode))
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				lockers[i] = l
			}
			var wg sync.WaitGroup
			var next atomic.Int64
			b.ResetTimer()
			for _, l := range lockers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						lock, err := l.Acquire(context.Background(), "n")
						if err != nil {
							b.Error(err)
							return
						}
						if err := lock.Release(context.Background()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
