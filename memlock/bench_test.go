package memlock

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// BenchmarkServer is the server without the engine, over a link that is well.
func BenchmarkServer(b *testing.B) {
	for _, names := range []int{1, 64} {
		b.Run(fmt.Sprint(names, "names"), func(b *testing.B) {
			peer := NewServer().dial("a")
			var next atomic.Int64
			b.SetParallelism(names)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				i := next.Add(1)
				c := driver.Claim{ID: fmt.Sprint("c", i), Name: fmt.Sprint("n", i), TTL: locker.DefaultTTL}
				r := driver.Release{Ref: driver.Ref{ID: c.ID, Name: c.Name, TTL: c.TTL}}
				ctx := context.Background()
				for pb.Next() {
					if a, err := peer.Claim(ctx, c); err != nil || a.State != driver.Held {
						b.Errorf("Claim: %+v, %v", a, err)
					}
					if _, err := peer.Release(ctx, r); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkMutex is what BenchmarkServer is to be compared with.
func BenchmarkMutex(b *testing.B) {
	var mus [64]sync.Mutex
	var next atomic.Int64
	b.SetParallelism(len(mus))
	b.RunParallel(func(pb *testing.PB) {
		mu := &mus[next.Add(1)%int64(len(mus))]
		for pb.Next() {
			mu.Lock()
			mu.Unlock() //nolint:staticcheck // an empty section is what is measured
		}
	})
}

// BenchmarkLocker is an uncontended cycle through the engine.
func BenchmarkLocker(b *testing.B) {
	l, err := NewServer().Open()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		lock, err := l.Acquire(ctx, "n")
		if err != nil {
			b.Fatal(err)
		}
		if err := lock.Release(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
