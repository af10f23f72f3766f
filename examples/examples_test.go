// Package examples_test runs every program under this folder, unchanged, on
// memory and on whichever real servers the environment names.
package examples_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// backends are the URLs on which the programs are run, by name. The real ones
// come from the environment.
func backends(t *testing.T) map[string]string {
	t.Helper()
	urls := map[string]string{"mem": "mem://examples"}
	for _, server := range []struct{ name, variable, before, after string }{
		{"etcd-lease", "LOCKER_TEST_ETCD", "etcd://", "/examples-" + unique()},
		{"etcd-session", "LOCKER_TEST_ETCD", "etcd://", "/examples-" + unique() + "?mode=session"},
		{"redis", "LOCKER_TEST_REDIS", "redis://", "/0?prefix=examples-" + unique()},
	} {
		if addr := os.Getenv(server.variable); addr != "" {
			urls[server.name] = server.before + addr + server.after
		} else {
			urls[server.name] = "" // skipped, by name
		}
	}
	return urls
}

// unique keeps two runs on one server apart.
func unique() string { return strconv.FormatInt(time.Now().UnixNano(), 36) }

// build compiles all programs into one folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "./...")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

func TestPrograms(t *testing.T) {
	dir := build(t)
	for name, url := range backends(t) {
		t.Run(name, func(t *testing.T) {
			if url == "" {
				if os.Getenv("CI") == "true" {
					t.Fatal("no server: LOCKER_TEST_ETCD and LOCKER_TEST_REDIS must be set with CI=true")
				}
				t.Skip("no server: set LOCKER_TEST_ETCD and LOCKER_TEST_REDIS to host:port, or run make test")
			}
			for program, want := range map[string]string{
				"quickstart": `^hello, under token [1-9][0-9]*\n$`,
				"fleetjob":   `^counting …\ndone\n$`,
				"reentrant":  `^map\[userA:5 userB:10\]\nmap\[userA:5 userB:10\]\n$`,
			} {
				if out := finish(t, filepath.Join(dir, program), url); !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("%s printed %q, want %s", program, out, want)
				}
			}
			interrupt(t, filepath.Join(dir, "leader"), url, "leading, term")
		})
	}
}

// finish runs a program to its end.
func finish(t *testing.T, program, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "LOCKER_URL="+url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(program), err, out)
	}
	return string(out)
}

// interrupt runs a program until it has printed sign, interrupts it, and demands
// that it ends well.
func interrupt(t *testing.T, program, url, sign string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return // has no interrupt to send
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "LOCKER_URL="+url)
	seen := &until{sign: sign, found: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = seen, seen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-seen.found:
	case <-ctx.Done():
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(program), err, seen.all.String())
	}
}

// until collects output and tells when sign came. It is written to by one
// goroutine, because it is both outputs of the program.
type until struct {
	sign  string
	found chan struct{}
	all   bytes.Buffer
	told  bool
}

func (u *until) Write(b []byte) (int, error) {
	n, err := u.all.Write(b)
	if !u.told && strings.Contains(u.all.String(), u.sign) {
		u.told = true
		close(u.found)
	}
	return n, err
}
