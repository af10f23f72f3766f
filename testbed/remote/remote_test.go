package remote_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/testbed/remote"
	"github.com/lockerlib/locker/testbed/servers"
)

var set *servers.Set

func TestMain(m *testing.M) {
	remote.Main()
	servers.StopOnSignal()
	var err error
	if set, err = servers.Start(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := set.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const ttl = 2 * time.Second

// each runs the test over both servers, under a prefix of its own.
func each(t *testing.T, test func(t *testing.T, url string)) {
	prefix := "remote-" + rand.Text()
	t.Run("etcd", func(t *testing.T) {
		t.Parallel()
		test(t, fmt.Sprintf("etcd://%s/%s", set.Etcd.Addr, prefix))
	})
	t.Run("Redis", func(t *testing.T) {
		if set.Redis.IsStandIn() {
			t.Skip("there is no Redis here, only a stand-in")
		}
		t.Parallel()
		test(t, fmt.Sprintf("redis://%s/0?prefix=%s:", set.Redis.Addr, prefix))
	})
}

func spawn(t *testing.T, url string) *remote.Process {
	t.Helper()
	p, err := remote.Spawn(t.Context(), remote.Config{
		URL: url, Identity: "spawned", Defaults: []locker.Option{locker.WithTTL(ttl)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Continue()
		p.Close()
	})
	return p
}

func open(t *testing.T, url string) locker.Locker {
	t.Helper()
	l, err := locker.Open(t.Context(), url, locker.WithDefaults(locker.WithTTL(ttl)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A client in another process is a Locker like any other.
func TestLocker(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		there, here := spawn(t, url), open(t, url)
		lock, err := there.Acquire(ctx, "a", locker.WithMetadata("m\n\x00é"), locker.WithReentry("me"))
		if err != nil {
			t.Fatal(err)
		}
		if lock.Name() != "a" || lock.Owner() != "me" || lock.Token() == 0 || lock.TTL() < ttl || !lock.Deadline().After(time.Now()) {
			t.Errorf("the lock is %q, %q, %d, %v, %v", lock.Name(), lock.Owner(), lock.Token(), lock.TTL(), lock.Deadline())
		}
		if err := lock.Err(); err != nil {
			t.Errorf("Err() = %v", err)
		}
		var held *locker.HeldError
		if _, err := here.TryAcquire(ctx, "a"); !errors.As(err, &held) || held.Holder.Metadata != "m\n\x00é" || held.Holder.Client != "spawned" {
			t.Errorf("here: %v", err)
		}
		again, err := there.TryAcquire(ctx, "a", locker.WithReentry("me"))
		if err != nil || again.Token() != lock.Token() {
			t.Fatalf("re-entry: %v", err)
		}
		if err := again.Release(ctx); err != nil {
			t.Error(err)
		}
		<-again.Done()
		if err := again.Err(); !errors.Is(err, locker.ErrReleased) {
			t.Errorf("after Release Err() = %v", err)
		}
		if err := again.Release(ctx); !errors.Is(err, locker.ErrReleased) {
			t.Errorf("second Release: %v", err)
		}
		if err := lock.Release(ctx); err != nil {
			t.Error(err)
		}

		mine, err := here.Acquire(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := there.TryAcquire(ctx, "a"); !errors.As(err, &held) || held.Holder.Token != mine.Token() {
			t.Errorf("there: %v", err)
		}
		if _, err := there.Acquire(ctx, "a", locker.WithMaxWait(0)); !errors.Is(err, locker.ErrHeld) {
			t.Errorf("with no patience: %v", err)
		}
		if _, err := there.Acquire(ctx, ""); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("with no name: %v", err)
		}
		why := errors.New("my reason")
		waiting, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
		if _, err := there.Acquire(waiting, "a"); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("cancelled: %v", err)
		}
		if err := mine.Release(ctx); err != nil {
			t.Error(err)
		}

		lock, err = there.Acquire(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := there.Close(); err != nil {
			t.Error(err)
		}
		<-lock.Done()
		if err := lock.Err(); !errors.Is(err, locker.ErrLost) || !errors.Is(err, locker.ErrClosed) {
			t.Errorf("after Close Err() = %v", err)
		}
		if _, err := there.Acquire(ctx, "a"); !errors.Is(err, locker.ErrClosed) {
			t.Errorf("Acquire after Close: %v", err)
		}
	})
}

// Deadlines of renewals are told.
func TestDeadlineMoves(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		lock, err := spawn(t, url).Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		first := lock.Deadline()
		for end := time.Now().Add(3 * ttl); !lock.Deadline().After(first); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the deadline has not moved")
			}
		}
	})
}

// A killed process releases nothing: its hold is free when the lease is over.
func TestKill(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		there, here := spawn(t, url), open(t, url)
		lock, err := there.Acquire(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := there.Kill(); err != nil {
			t.Fatal(err)
		}
		<-lock.Done()
		if err := lock.Err(); !errors.Is(err, locker.ErrLost) || !errors.Is(err, remote.ErrKilled) {
			t.Errorf("Err() = %v", err)
		}
		if _, err := here.TryAcquire(ctx, "a"); !errors.Is(err, locker.ErrHeld) {
			t.Errorf("just after the kill: %v", err)
		}
		next, err := here.Acquire(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); now.Before(lock.Deadline()) {
			t.Errorf("the next holder came %v before the deadline", lock.Deadline().Sub(now))
		}
		if next.Token() <= lock.Token() {
			t.Errorf("tokens %d, then %d", lock.Token(), next.Token())
		}
		if _, err := there.TryAcquire(ctx, "b"); err == nil {
			t.Error("a killed process got a lock")
		}
	})
}

// A process that was stopped for too long has lost its hold, and says so.
func TestStop(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		there, here := spawn(t, url), open(t, url)
		lock, err := there.Acquire(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := there.Stop(); err != nil {
			t.Fatal(err)
		}
		next, err := here.Acquire(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := there.Continue(); err != nil {
			t.Fatal(err)
		}
		if err := lock.Err(); !errors.Is(err, locker.ErrLost) {
			t.Errorf("Err() = %v", err)
		}
		if err := next.Err(); err != nil {
			t.Errorf("the next holder: %v", err)
		}
	})
}

func TestSpawnTellsWhyItFailed(t *testing.T) {
	_, err := remote.Spawn(t.Context(), remote.Config{URL: "etcd://127.0.0.1:1/x?colour=blue"})
	if !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("Spawn: %v", err)
	}
}
