package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/memlock/memrig"
	"github.com/lockerlib/locker/testbed/servers"
)

// A fixture is a comparison on memory alone.
type fixture struct {
	comparison
	out, err bytes.Buffer
	dir      string
	stopped  int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	t.Setenv("CI", "")
	t.Setenv(servers.EnvRequire, "")
	f := &fixture{dir: filepath.Join(t.TempDir(), "deep", "out")}
	memory := func(*servers.Server) (conformance.Maker, error) { return memrig.Maker(true), nil }
	f.comparison = comparison{
		stdout: stream{Writer: &f.out}, stderr: stream{Writer: &f.err},
		targets: []target{
			{key: "memory", maker: memory},
			{key: "remote", server: servers.EtcdName, maker: func(*servers.Server) (conformance.Maker, error) {
				return renamed{memrig.Maker(true)}, nil
			}},
		},
		sources: map[string]source{servers.EtcdName: func(context.Context, io.Writer) (*servers.Server, error) {
			return &servers.Server{Name: servers.EtcdName, Version: "0.0", Kind: servers.Embedded, Addr: "nowhere:1"}, nil
		}},
		stop: func() error { f.stopped++; return nil },
	}
	return f
}

// renamed is another column on the same backend.
type renamed struct{ conformance.Maker }

func (r renamed) Profile() conformance.Profile {
	p := r.Maker.Profile()
	p.Backend = "remote"
	return p
}

func (f *fixture) run(args ...string) int {
	return f.comparison.run(context.Background(), append([]string{"-out", f.dir}, args...))
}

// written reads the report back, and demands that the page is there too.
func (f *fixture) written(t *testing.T) *conformance.Report {
	t.Helper()
	file, err := os.Open(filepath.Join(f.dir, "report.json"))
	if err != nil {
		t.Fatalf("%v\n%s%s", err, &f.out, &f.err)
	}
	defer file.Close()
	r, err := report.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(f.dir, "report.html"))
	if err != nil || !bytes.Contains(page, []byte("</html>")) {
		t.Errorf("report.html: %v, %d bytes", err, len(page))
	}
	if entries, err := os.ReadDir(f.dir); err != nil || len(entries) != 4 {
		t.Errorf("besides the report there is something left: %v, %v", entries, err)
	}
	return r
}

func TestGreenRun(t *testing.T) {
	f := newFixture(t)
	if status := f.run("-run", "^B", "-seed", "7"); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &f.out, &f.err)
	}
	r := f.written(t)
	if len(r.Backends) != 2 || len(r.Backends[0].Results) != 5 || len(r.Notes) != 0 {
		t.Errorf("%d backends, notes %q", len(r.Backends), r.Notes)
	}
	for _, b := range r.Backends {
		for _, res := range b.Results {
			if res.Seed != 7 {
				t.Errorf("%s on %s ran with seed %d", res.ID, b.Backend, res.Seed)
			}
			if want := "-run '^" + res.ID + "$' -seed 7"; !strings.Contains(res.Repeat, want) {
				t.Errorf("%q does not repeat the check: %q is missing", res.Repeat, want)
			}
		}
	}
	for _, want := range []string{"memory", "remote", "B1", filepath.Join(f.dir, "report.html")} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &f.out)
		}
	}
	if f.stopped != 1 {
		t.Errorf("the servers were stopped %d times", f.stopped)
	}
}

// hollow hands out locks that exclude nobody.
type hollow struct{ conformance.Maker }

func (h hollow) Make(ctx context.Context) (conformance.Rig, error) {
	rig, err := h.Maker.Make(ctx)
	return hollowRig{rig}, err
}

type hollowRig struct{ conformance.Rig }

func (h hollowRig) Open(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	l, err := h.Rig.Open(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return private{l}, nil
}

// private tries names that nobody else uses.
type private struct{ locker.Locker }

func (p private) TryAcquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return p.Locker.TryAcquire(ctx, name+" for me alone", opts...)
}

func TestBrokenLockIsSaidAndFails(t *testing.T) {
	f := newFixture(t)
	f.targets[0].maker = func(*servers.Server) (conformance.Maker, error) { return hollow{memrig.Maker(true)}, nil }
	if status := f.run("-backends", "memory", "-run", "^X1$"); status != exitNotGreen {
		t.Errorf("status %d\n%s%s", status, &f.out, &f.err)
	}
	if v := f.written(t).Backends[0].Results[0].Verdict; v != conformance.Broken {
		t.Errorf("the verdict is %q", v)
	}
	for _, want := range []string{"✗ X1 on memory: broken", "repeat"} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &f.out)
		}
	}
}

// What another library does not keep is shown, and is not our failure.
func TestForeignLibrary(t *testing.T) {
	f := newFixture(t)
	f.targets = append(f.targets, target{key: "other", foreign: true, maker: func(*servers.Server) (conformance.Maker, error) {
		return hollow{memrig.Maker(true)}, nil
	}})
	if status := f.run("-foreign", "-run", "^X1$"); status != exitOK {
		t.Errorf("status %d\n%s%s", status, &f.out, &f.err)
	}
	r := f.written(t)
	if len(r.Backends) != 1 || r.Backends[0].Results[0].Verdict != conformance.Broken {
		t.Errorf("the other library was not run alone, or not found broken: %+v", r.Backends)
	}
	if status := f.run("-run", "^X1$"); status != exitOK {
		t.Errorf("status %d", status)
	}
	if r := f.written(t); len(r.Backends) != 2 {
		t.Errorf("without being asked, %d columns were run", len(r.Backends))
	}
}

func TestMissingServer(t *testing.T) {
	for _, test := range []struct {
		ci, require string
		status      int
	}{{"", "", exitOK}, {"true", "", exitCannot}, {"", "etcd", exitCannot}} {
		f := newFixture(t)
		if test.ci != "" {
			os.Unsetenv(servers.EnvRequire) // newFixture's Setenv restores it
			t.Setenv("CI", test.ci)
		} else {
			t.Setenv(servers.EnvRequire, test.require)
		}
		f.sources[servers.EtcdName] = func(context.Context, io.Writer) (*servers.Server, error) {
			return nil, errors.New("the shelf is empty")
		}
		if status := f.run("-run", "^B1$"); status != test.status {
			t.Errorf("CI=%q, required %q: status %d, want %d\n%s", test.ci, test.require, status, test.status, &f.err)
		}
		r := f.written(t)
		if len(r.Backends) != 1 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the shelf is empty") {
			t.Errorf("%d backends, notes %q", len(r.Backends), r.Notes)
		}
		if !strings.Contains(f.err.String(), "the shelf is empty") || !strings.Contains(f.out.String(), "the shelf is empty") {
			t.Errorf("it is not said:\n%s%s", &f.out, &f.err)
		}
	}
}

func TestStandInIsSaidAndDoesNotCount(t *testing.T) {
	f := newFixture(t)
	f.sources[servers.EtcdName] = func(context.Context, io.Writer) (*servers.Server, error) {
		return &servers.Server{Name: servers.EtcdName, Kind: servers.StandIn}, nil
	}
	if status := f.run("-run", "^B1$"); status != exitOK {
		t.Errorf("status %d", status)
	}
	if r := f.written(t); len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "stand-in") {
		t.Errorf("notes %q", r.Notes)
	}
	t.Setenv(servers.EnvRequire, "etcd")
	if status := f.run("-run", "^B1$"); status != exitCannot {
		t.Errorf("where a server is required: status %d", status)
	}
}

func TestInterrupted(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	f.sources[servers.EtcdName] = func(ctx context.Context, _ io.Writer) (*servers.Server, error) {
		cancel(errInterrupted)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if status := f.comparison.run(ctx, []string{"-out", f.dir}); status != exitInterrupted {
		t.Errorf("status %d", status)
	}
	if _, err := os.Stat(f.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a report of half a run was written: %v", err)
	}
	if f.stopped != 1 {
		t.Errorf("the servers were stopped %d times", f.stopped)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"-h"}, exitOK, "-backends LIST"},
		{[]string{"--help"}, exitOK, "memory,remote"},
		{[]string{"--help"}, exitOK, "-all"},
		{[]string{"-foreign", "-backends", "memory"}, exitUsage, "-foreign"},
		{[]string{"-backends", "zookeeper"}, exitUsage, `no "zookeeper"; known: memory, remote`},
		{[]string{"-run", "["}, exitUsage, "-run"},
		{[]string{"-run", "^nothing$"}, exitUsage, "B1"},
		{[]string{"-colour"}, exitUsage, "compare -h"},
		{[]string{"-parallel", "-1"}, exitUsage, "-parallel"},
		{[]string{"-out", ""}, exitUsage, "-out"},
		{[]string{"memory"}, exitUsage, `unexpected argument "memory"`},
	} {
		f := newFixture(t)
		if status := f.comparison.run(context.Background(), test.args); status != test.status {
			t.Errorf("%q: status %d, want %d", test.args, status, test.status)
		}
		if all := f.out.String() + f.err.String(); !strings.Contains(all, test.says) {
			t.Errorf("%q: it does not say %q:\n%s", test.args, test.says, all)
		}
	}
}

func TestReportThatCannotBeWritten(t *testing.T) {
	f := newFixture(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.dir = file
	if status := f.run("-backends", "memory", "-run", "^B1$"); status != exitCannot {
		t.Errorf("status %d", status)
	}
}
