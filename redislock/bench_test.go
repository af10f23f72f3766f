package redislock

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/redis/go-redis/v9"
)

// The floor that the others are measured against: SET NX PX and the script
// that deletes what it has set.
func BenchmarkRaw(b *testing.B) {
	c := newClient(b, testAddress(b))
	b.Run("one", func(b *testing.B) {
		for i := range b.N {
			rawCycle(b, c, "raw-one", strconv.Itoa(i))
		}
	})
	b.Run("64names", func(b *testing.B) {
		many(b, func(name string, i int64) { rawCycle(b, c, "raw-"+name, strconv.FormatInt(i, 10)) })
	})
}

var rawRelease = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

func rawCycle(b *testing.B, c *redis.Client, key, value string) {
	ctx := b.Context()
	if ok, err := c.SetNX(ctx, key, value, 15*time.Second).Result(); err != nil || !ok {
		b.Error(ok, err)
	}
	if err := rawRelease.Run(ctx, c, []string{key}, value).Err(); err != nil {
		b.Error(err)
	}
}

func BenchmarkCycle(b *testing.B) {
	l, err := locker.Open(b.Context(), "redis://"+testAddress(b)+"?prefix="+newPrefix())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	cycle := func(name string) {
		lock, err := l.Acquire(b.Context(), name)
		if err != nil {
			b.Error(err)
			return
		}
		if err := lock.Release(b.Context()); err != nil {
			b.Error(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		for range b.N {
			cycle("n")
		}
	})
	b.Run("64names", func(b *testing.B) { many(b, func(name string, _ int64) { cycle(name) }) })
}

func many(b *testing.B, cycle func(name string, i int64)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				cycle("n-"+strconv.Itoa(g), i)
			}
		})
	}
	wg.Wait()
}
