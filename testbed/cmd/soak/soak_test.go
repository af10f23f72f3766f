package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/history"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/memlock/memrig"
)

// kept reads the evidence back.
func kept(t *testing.T, dir string) (*history.History, *conformance.Report) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	h, err := history.Decode(open("history.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.Decode(open("report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
		t.Error(err)
	}
	return h, r
}

func TestGreenSoak(t *testing.T) {
	dir := t.TempDir()
	var out, errOut bytes.Buffer
	args := []string{"-backend", "memory-bubble", "-for", "5m", "-round", "2m", "-seed", "5", "-out", dir}
	if status := run(t.Context(), args, &out, &errOut); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &out, &errOut)
	}
	h, r := kept(t, dir)
	if len(h.Holds) == 0 || len(r.Backends) != 1 || len(r.Backends[0].Results) != 4 {
		t.Errorf("%d holds, %+v", len(h.Holds), r.Backends)
	}
	for _, want := range []string{"3 rounds", "the unfenced control lost", "5m0s of 5m0s", "history.json"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, &out)
		}
	}
}

// hollow has clients of which every second one is on another server.
type hollow struct{ conformance.Maker }

func (h hollow) Make(ctx context.Context) (conformance.Rig, error) {
	one, err := h.Maker.Make(ctx)
	if err != nil {
		return nil, err
	}
	two, err := h.Maker.Make(ctx)
	return &hollowRig{one: one, two: two}, err
}

// A hollowRig has no powers beyond opening clients.
type hollowRig struct {
	one, two conformance.Rig

	mu     sync.Mutex // guards opened
	opened int
}

func (h *hollowRig) Open(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	h.mu.Lock()
	h.opened++
	second := h.opened%2 == 0
	h.mu.Unlock()
	if second {
		return h.two.Open(ctx, opts...)
	}
	return h.one.Open(ctx, opts...)
}

func (h *hollowRig) Close() error { return errors.Join(h.one.Close(), h.two.Close()) }

func TestSoakOfABrokenLock(t *testing.T) {
	backends["hollow"] = func(context.Context, io.Writer) (conformance.Maker, error) { return hollow{memrig.Maker(true)}, nil }
	defer delete(backends, "hollow")
	dir := t.TempDir()
	var out, errOut bytes.Buffer
	if status := run(t.Context(), []string{"-backend", "hollow", "-for", "2m", "-seed", "5", "-out", dir}, &out, &errOut); status != exitNotGreen {
		t.Errorf("status %d\n%s%s", status, &out, &errOut)
	}
	h, r := kept(t, dir)
	if f := history.CheckOverlaps(h); f.Outcome != history.Illegal {
		t.Errorf("the history that was kept is not the one that convicts: %s", f)
	}
	if report.OK(r) || !strings.Contains(out.String(), "both believed to hold") {
		t.Errorf("it is not said:\n%s", &out)
	}
}

func TestUsage(t *testing.T) {
	var help bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, io.Discard, &help); status != exitOK {
		t.Errorf("-h: status %d", status)
	}
	for _, want := range []string{"Exit status", "-round", "etcd-lease", "redsync"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("-h does not say %q:\n%s", want, &help)
		}
	}
	for _, args := range [][]string{{"-backend", "zookeeper"}, {"-for", "0s"}, {"-clients", "1"}, {"extra"}, {"-colour"}} {
		var out, errOut bytes.Buffer
		if status := run(t.Context(), args, &out, &errOut); status != exitUsage {
			t.Errorf("%q: status %d", args, status)
		}
	}
}
