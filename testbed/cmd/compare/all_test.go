package main

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/memlock/memrig"
	"github.com/lockerlib/locker/testbed/servers"
)

// withEverything has a usual and a further target with faults, and another
// library.
func withEverything(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.targets[0].faults = func() conformance.Maker { return memrig.Maker(true) }
	f.targets[1].faults = func() conformance.Maker { return renamed{memrig.Maker(true)} }
	f.targets[1].further = true
	f.targets = append(f.targets, target{key: "other", foreign: true, maker: func(*servers.Server) (conformance.Maker, error) {
		return another{hollow{memrig.Maker(true)}}, nil
	}})
	return f
}

type another struct{ conformance.Maker }

func (a another) Profile() conformance.Profile {
	p := a.Maker.Profile()
	p.Backend = "other"
	return p
}

func TestAll(t *testing.T) {
	f := withEverything(t)
	path := t.TempDir() + "/guarantees.md"
	if status := f.run("-all", "-run", "^(X1|S11|S12)$", "-seed", "7", "-guarantees", path); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &f.out, &f.err)
	}
	r := f.written(t)
	var got []string
	for _, b := range r.Backends {
		for _, res := range b.Results {
			got = append(got, b.Backend+" "+res.ID+" "+string(res.Verdict))
			if faults := strings.Contains(res.Repeat, " -faults "); faults != strings.HasPrefix(res.ID, "S") {
				t.Errorf("%s is repeated by %q", res.ID, res.Repeat)
			}
		}
	}
	want := []string{
		"memory X1 holds", "memory S11 holds", "memory S12 holds",
		"remote X1 holds", "remote S11 holds", "remote S12 holds", "other X1 broken",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the report has %q, want %q", got, want)
	}
	page, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(page), " other |") || !strings.Contains(string(page), "| S12 |") {
		t.Errorf("the page of our own backends: %v\n%s", err, page)
	}
}

func TestGroupsOfBackends(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "memory"},
		{"-backends own", "memory remote"},
		{"-backends foreign,memory,own", "other memory remote"},
		{"-foreign", "other"},
		{"-faults", "memory remote"},
		{"-all", "memory remote other"},
		{"-all -backends remote", "remote"},
	} {
		o, err := parse(strings.Fields(test.args), withEverything(t).targets, os.Stderr)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		var keys []string
		for _, target := range o.targets {
			keys = append(keys, target.key)
		}
		if got := strings.Join(keys, " "); got != test.want {
			t.Errorf("%q are %q, want %q", test.args, got, test.want)
		}
	}
}

func TestAllExcludesWhatItHas(t *testing.T) {
	for _, other := range []string{"-foreign", "-faults"} {
		f := withEverything(t)
		if status := f.run("-all", other); status != exitUsage || !strings.Contains(f.err.String(), "-all") {
			t.Errorf("%s: status %d\n%s", other, status, &f.err)
		}
	}
}

// What is measured on another library is not disturbed by any other column, and
// no two columns that start servers run at once.
func TestColumnsThatRunAlone(t *testing.T) {
	waits := memrig.Maker(false)
	columns := []*column{
		{target: target{key: "a"}, set: conformance.Standard, maker: waits},
		{target: target{key: "a"}, set: conformance.Faults, maker: waits},
		{target: target{key: "b"}, set: conformance.Standard, maker: waits},
		{target: target{key: "b"}, set: conformance.Faults, maker: waits},
		{target: target{key: "c", foreign: true}, set: conformance.Standard, maker: waits},
		{target: target{key: "d", foreign: true}, set: conformance.Standard, maker: waits},
	}
	var (
		mu      sync.Mutex // guards what follows
		running = make(map[*column]bool)
		seen    int
		both    = make(chan struct{}) // closed when a and b have run at once
	)
	inTurn(columns, func(col *column) {
		mu.Lock()
		seen++
		running[col] = true
		alone := col.foreign || col.set == conformance.Faults
		if alone && len(running) > 1 {
			t.Errorf("%s %s ran beside another", col.key, col.set)
		}
		if !alone && len(running) == 2 {
			close(both)
		}
		mu.Unlock()
		if !alone {
			select {
			case <-both:
			case <-time.After(10 * time.Second):
				t.Error("our own backends do not run at once")
			}
		}
		mu.Lock()
		delete(running, col)
		mu.Unlock()
	})
	if seen != len(columns) {
		t.Errorf("%d of %d columns were run", seen, len(columns))
	}
}
