package redislock

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// goroutines returns the stacks of those that run code of this package, of the
// engine or of the client.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var all []string
	for _, stack := range strings.Split(string(buf), "\n\n") {
		for _, part := range []string{"locker/redislock.(*", "locker/driver.", "go-redis/v9.(*PubSub)", "go-redis/v9.(*baseClient)"} {
			if strings.Contains(stack, part) {
				all = append(all, stack)
				break
			}
		}
	}
	return all
}

func TestCloseLeavesNothing(t *testing.T) {
	address := startServer(t)
	watcher := newClient(t, address)
	prefix := newPrefix()
	before := len(goroutines())
	var open []locker.Locker
	for range 3 {
		l, err := locker.Open(t.Context(), "redis://"+address+"?prefix="+prefix)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, l)
	}
	lock, err := open[0].Acquire(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, l := range open[1:] {
		wg.Go(func() {
			if _, err := l.Acquire(t.Context(), "n"); !errors.Is(err, locker.ErrClosed) {
				t.Errorf("the waiter got %v, want ErrClosed", err)
			}
		})
	}
	eventually(t, "both wait", func() bool {
		s, err := locker.Inspect(t.Context(), open[0], "n")
		return err == nil && s.WaiterCount == 2
	})
	for i := len(open) - 1; i >= 0; i-- {
		if err := open[i].Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	wg.Wait()
	if err := lock.Err(); !errors.Is(err, locker.ErrLost) || !errors.Is(err, locker.ErrClosed) {
		t.Errorf("the lock says %v", err)
	}
	eventually(t, "the goroutines end", func() bool { return len(goroutines()) <= before })
	eventually(t, "the connections end", func() bool {
		list := watcher.ClientList(testContext(t)).Val()
		return strings.Count(list, "\n") == 1
	})
	for _, key := range keysUnder(t, watcher, prefix) {
		if !strings.HasSuffix(key, "}:t") && !strings.Contains(key, "}:u:") {
			t.Errorf("%s is left", key)
		}
	}
}

func TestLocksOverTwoLockers(t *testing.T) {
	url := "redis://" + testAddress(t) + "?prefix=" + newPrefix()
	a, err := locker.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := locker.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var last uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, l := range []locker.Locker{a, b, a, b} {
		wg.Go(func() {
			for range 50 {
				err := locker.Do(t.Context(), l, "n", func(_ context.Context, lock locker.Lock) error {
					if !mu.TryLock() {
						t.Error("two holders")
						return nil
					}
					defer mu.Unlock()
					if lock.Token() <= last {
						t.Errorf("token %d after %d", lock.Token(), last)
					}
					last = lock.Token()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := locker.Inspect(t.Context(), a, "n"); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("afterwards Inspect says %v", err)
	}
}

// A client whose server stopped answering.
func TestCallsEndWithTheirContext(t *testing.T) {
	address := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	p := connect(t, address, newPrefix())
	for name, call := range map[string]func(context.Context) error{
		"Claim": func(ctx context.Context) error {
			_, err := p.Claim(ctx, driver.Claim{ID: "a", Name: "n", TTL: time.Minute})
			return err
		},
		"Renew": func(ctx context.Context) error {
			_, err := p.Renew(ctx, []driver.Ref{{ID: "a", Name: "n", TTL: time.Minute}})
			return err
		},
		"Release": func(ctx context.Context) error {
			_, err := p.Release(ctx, driver.Release{Ref: driver.Ref{ID: "a", Name: "n"}})
			return err
		},
		"List": func(ctx context.Context) error {
			for _, err := range p.List(ctx, "") {
				return err
			}
			return nil
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		cancel()
		began := time.Now()
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(began) > ioTimeout/2 {
			t.Errorf("%s returned %v after %v", name, err, time.Since(began))
		}
	}
}

// Two connections that hang must not hold up calls on others.
func TestHangingConnectionsDoNotBlockOthers(t *testing.T) {
	address := startServer(t)
	var mu sync.Mutex
	hang := maxSenders
	proxy := listen(t, func(c net.Conn) {
		mu.Lock()
		stuck := hang > 0
		if stuck {
			hang--
		}
		mu.Unlock()
		if stuck {
			_, _ = io.Copy(io.Discard, c)
			return
		}
		server, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(c, server) }()
		_, _ = io.Copy(server, c)
	})
	p := connect(t, proxy, newPrefix())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for left := maxSenders - 1; left >= 0; left-- { // one by one, or they would travel together
		wg.Go(func() { _, _ = p.Inspect(ctx, "n") })
		eventually(t, "the connection hangs", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return hang == left
		})
	}
	began := time.Now()
	p.hold("n", "a")
	if took := time.Since(began); took > ioTimeout/2 {
		t.Errorf("the claim took %v beside connections that hang", took)
	}
	cancel()
	wg.Wait()
}
