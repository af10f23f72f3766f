package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockerlib/locker"
)

// Many goroutines of several Lockers, of both modes, want one name; a third of
// them give up at a random moment. Nobody may be inside together, tokens must
// increase, and nothing may be left.
func TestLockersUnderCancellation(t *testing.T) {
	pfx := prefix(t)
	const goroutines, rounds = 4, 30
	modes := []Mode{Lease, Lease, Session}
	var inside, done, cancelled atomic.Int32
	var last atomic.Uint64
	var wg sync.WaitGroup
	var lockers []locker.Locker
	for _, mode := range modes {
		l, err := New(connect(t), WithPrefix(pfx), WithMode(mode))
		if err != nil {
			t.Fatal(err)
		}
		lockers = append(lockers, l)
		for range goroutines {
			wg.Go(func() {
				for r := range rounds {
					ctx, cancel := context.WithCancel(testContext(t))
					if r%3 == 0 {
						time.AfterFunc(rand.N(20*time.Millisecond), cancel)
					}
					lock, err := l.Acquire(ctx, "n")
					cancel()
					switch {
					case err == nil:
					case errors.Is(err, context.Canceled):
						cancelled.Add(1)
						continue
					default:
						t.Errorf("Acquire: %v", err)
						return
					}
					if inside.Add(1) != 1 {
						t.Error("two inside")
					}
					if prev := last.Swap(lock.Token()); prev >= lock.Token() {
						t.Errorf("token %d after %d", lock.Token(), prev)
					}
					inside.Add(-1)
					if err := lock.Release(testContext(t)); err != nil {
						t.Errorf("Release: %v", err)
					}
					done.Add(1)
				}
			})
		}
	}
	wg.Wait()
	if done.Load() == 0 || cancelled.Load() == 0 {
		t.Errorf("%d rounds done, %d cancelled: the test showed nothing", done.Load(), cancelled.Load())
	}
	for _, l := range lockers {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if keys := keysOf(t, connect(t), pfx); len(keys) > 0 {
		t.Errorf("keys are left: %q", keys)
	}
}

// A failed try leaves nothing, and tells why it failed.
func TestTryThroughTheEngine(t *testing.T) {
	for _, mode := range []Mode{Lease, Session} {
		t.Run(mode.String(), func(t *testing.T) {
			pfx := prefix(t)
			var ls [2]locker.Locker
			for i := range ls {
				l, err := New(connect(t), WithPrefix(pfx), WithMode(mode), locker.WithIdentity(fmt.Sprintf("client-%d", i)))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close() })
				ls[i] = l
			}
			lock, err := ls[0].TryAcquire(testContext(t), "n", locker.WithMetadata("meta"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = ls[1].TryAcquire(testContext(t), "n")
			held, ok := errors.AsType[*locker.HeldError](err)
			if !ok || !errors.Is(err, locker.ErrHeld) {
				t.Fatalf("got %v", err)
			}
			if held.Holder.Token == 0 || held.Holder.Token > lock.Token() {
				t.Errorf("the refusal names token %d, the lock has %d", held.Holder.Token, lock.Token())
			}
			if mode == Lease && (held.Holder.Client != "client-0" || held.Holder.Metadata != "meta") {
				t.Errorf("the refusal tells %+v", held.Holder)
			}
			if err := lock.Release(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if lock, err = ls[1].TryAcquire(testContext(t), "n"); err != nil {
				t.Fatalf("after the release: %v", err)
			}
			if err := lock.Release(testContext(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}
