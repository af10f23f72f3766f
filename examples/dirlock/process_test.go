//go:build unix

package dirlock_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/examples/dirlock"
)

const envDir = "DIRLOCK_TEST_DIR"

// TestMain makes this program hold a name and wait to be killed, if a test
// started it for that.
func TestMain(m *testing.M) {
	dir := os.Getenv(envDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	l, err := dirlock.Open(dir)
	if err == nil {
		_, err = l.Acquire(context.Background(), "name", locker.WithTTL(time.Second))
	}
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString("held\n")
	select {}
}

// Processes exclude each other, and the hold of one that is killed ends with its
// lease.
func TestAcrossProcesses(t *testing.T) {
	r := rig{t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), envDir+"="+r.dir)
	said, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := said.Read(make([]byte, 5)); err != nil {
		t.Fatalf("the child did not get the lock: %v", err)
	}
	l, err := r.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.TryAcquire(t.Context(), "name"); !errors.Is(err, locker.ErrHeld) {
		t.Errorf("while another process held the name, a try said %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	lock, err := l.Acquire(ctx, "name")
	if err != nil {
		t.Fatalf("after the kill: %v", err)
	}
	if err := lock.Release(ctx); err != nil {
		t.Error(err)
	}
}
