//go:build unix

package redislock

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// A claim that a stopped server carries out after its undo must come to nothing.
func TestClaimAppliedAfterItsUndo(t *testing.T) {
	address, server := startCommand(t)
	prefix := newPrefix()
	p, watcher := connect(t, address, prefix), connect(t, address, prefix)
	p.release(p.hold("warm", "w"))
	watcher.release(watcher.hold("warm", "w"))
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := server.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		id := "c-" + newPrefix()[5:15]
		signal(syscall.SIGSTOP)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := p.Claim(ctx, driver.Claim{ID: id, Name: "n", TTL: time.Minute})
		cancel()
		if err == nil {
			t.Fatal("a stopped server answered")
		}
		undone := make(chan error, 1)
		go func() {
			_, err := watcher.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: id, Name: "n", TTL: time.Minute}, Uncertain: true})
			undone <- err
		}()
		signal(syscall.SIGCONT)
		if err := <-undone; err != nil {
			t.Fatal(err)
		}
		// Whatever was on its way on the other connection has been carried out
		// when a later call there is answered.
		p.claim(driver.Claim{ID: id, Name: "other"})
		p.release(driver.Ref{ID: id, Name: "other"})
		eventually(t, "the late claim is gone", func() bool {
			_, err := watcher.Inspect(testContext(t), "n")
			return errors.Is(err, locker.ErrNotHeld)
		})
	}
}
