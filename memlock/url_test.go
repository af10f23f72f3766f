package memlock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

func open(t *testing.T, rawURL string, opts ...locker.OpenOption) locker.Locker {
	t.Helper()
	l, err := locker.Open(t.Context(), rawURL, opts...)
	if err != nil {
		t.Fatalf("Open(%q): %v", rawURL, err)
	}
	return l
}

func TestTheSameNameIsTheSameServer(t *testing.T) {
	// Twice, as two tests of a program would: a bubble leaves the server usable.
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			name := "mem://" + t.Name()
			a, b, other := open(t, name), open(t, name), open(t, name+"/other")
			lock, err := a.Acquire(t.Context(), "n")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.TryAcquire(t.Context(), "n"); !errors.Is(err, locker.ErrHeld) {
				t.Errorf("the same URL: %v, want ErrHeld", err)
			}
			if _, err := other.TryAcquire(t.Context(), "n"); err != nil {
				t.Errorf("another URL: %v", err)
			}
			time.Sleep(3 * lock.TTL())
			if err := lock.Err(); err != nil {
				t.Errorf("the hold ended: %v", err)
			}
			c, ok := locker.As[*memlock.Client](a)
			if !ok || c.Server() != memlock.Named(t.Name()) {
				t.Error("Named gives another server than the URL")
			}
			for _, l := range []locker.Locker{a, b, other} {
				if err := l.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		})
	}
}

func TestTTLOfTheURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			url  string
			opts []locker.OpenOption
			want time.Duration
		}{
			{"mem://ttl", nil, locker.DefaultTTL},
			{"mem://ttl?", nil, locker.DefaultTTL},
			{"mem://ttl?ttl=3s", nil, 3 * time.Second},
			{"MEM://ttl?ttl=1ns", nil, time.Millisecond},
			{"mem://ttl?ttl=3s", []locker.OpenOption{locker.WithDefaults(locker.WithTTL(time.Minute))}, time.Minute},
		} {
			l := open(t, c.url, c.opts...)
			lock, err := l.Acquire(t.Context(), c.url)
			if err != nil {
				t.Fatalf("%s: %v", c.url, err)
			}
			if lock.TTL() != c.want {
				t.Errorf("%s: the TTL is %v, want %v", c.url, lock.TTL(), c.want)
			}
			if err := errors.Join(lock.Release(t.Context()), l.Close()); err != nil {
				t.Errorf("%s: %v", c.url, err)
			}
		}
	})
}

func TestBadURLs(t *testing.T) {
	for _, bad := range []string{
		"mem://", "mem://?ttl=1s", "mem://s?tttl=1s", "mem://s?TTL=1s", "mem://s?ttl=1s&x=", "mem://s?ttl=1s&ttl=2s",
		"mem://s?ttl=", "mem://s?ttl=x", "mem://s?ttl=15", "mem://s?ttl=0s", "mem://s?ttl=-1s", "mem://s?ttl=9999h", "mem://s?ttl=%zz",
	} {
		l, err := locker.Open(t.Context(), bad)
		if l != nil || !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("Open(%q) = %v, %v; want ErrInvalid", bad, l, err)
			continue
		}
		if !strings.Contains(err.Error(), "ttl") {
			t.Errorf("Open(%q) does not name the parameters that there are: %v", bad, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := locker.Open(ctx, "mem://s"); l != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context = %v, %v", l, err)
	}
	if l, err := memlock.NewServer().Open(nil); l != nil || !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("Open with a nil option = %v, %v", l, err)
	}
	foreign := locker.WithBackend(struct{ other int }{}, 1)
	if l, err := locker.Open(t.Context(), "mem://s", foreign); l != nil || !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("Open with an option of another backend = %v, %v", l, err)
	}
}
