package main

import (
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/memlock/memrig"
)

func TestFaultSet(t *testing.T) {
	f := newFixture(t)
	f.targets[0].faults = func() conformance.Maker { return memrig.Maker(true) }
	if status := f.run("-faults", "-backends", "memory", "-run", "^S1[12]$", "-seed", "7"); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &f.out, &f.err)
	}
	r := f.written(t)
	if len(r.Backends) != 1 || len(r.Backends[0].Results) != 2 {
		t.Fatalf("the report is %+v", r)
	}
	for _, res := range r.Backends[0].Results {
		if res.Verdict != conformance.Holds || !strings.Contains(res.Repeat, "compare -faults -backends memory") {
			t.Errorf("%s, to be repeated by %q", res, res.Repeat)
		}
	}
}

func TestFaultSetNeedsServersOfItsOwn(t *testing.T) {
	for _, args := range [][]string{{"-faults", "-backends", "remote"}, {"-faults", "-foreign"}, {"-faults", "-backends", "memory", "-run", "^B1$"}} {
		f := newFixture(t)
		f.targets[0].faults = func() conformance.Maker { return memrig.Maker(true) }
		if status := f.run(args...); status != exitUsage {
			t.Errorf("%q: status %d\n%s", args, status, &f.err)
		}
	}
}
