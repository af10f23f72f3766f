package etcdlock

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

func TestNamesAndPrefixesDoNotMeet(t *testing.T) {
	base, client := prefix(t), connect(t)
	names := []string{
		"p", "P", "p/", "p/x", "/p", "p//x", "//v1/p", "p%2Fx", "p%", "p\x00", "p\n", "{p}", "p*", "p?", "[p]", "..", ".",
		" ", "é", "e\u0301", "\x7f", strings.Repeat("x", 511) + "a", strings.Repeat("x", 511) + "b", strings.Repeat("/", 512), "p0",
	}
	n := 0
	for _, pfx := range []string{base + "/a", base + "/a/p", base + "/ab"} {
		b, _ := open(t, pfx, Lease, client)
		seen := make(map[string]bool)
		for _, name := range names {
			c := claimOf(fmt.Sprintf("c%d", n), name)
			c.Try = n%2 == 0
			n++
			must(t, b, c, driver.Held)
		}
		for st, err := range b.List(testContext(t), "") {
			if err != nil {
				t.Fatal(err)
			}
			seen[st.Name] = true
		}
		for _, name := range names {
			if !seen[name] {
				t.Errorf("List does not show %q", name)
			}
		}
		if len(seen) != len(names) {
			t.Errorf("List shows %d names, want %d", len(seen), len(names))
		}
		var some []string
		for st, err := range b.List(testContext(t), "p/") {
			if err != nil {
				t.Fatal(err)
			}
			some = append(some, st.Name)
		}
		if len(some) != 3 {
			t.Errorf("List(\"p/\") shows %q", some)
		}
	}
}

func TestListPages(t *testing.T) {
	b, _ := open(t, prefix(t), Lease, connect(t))
	for i := range listPage/2 + 10 {
		name := fmt.Sprintf("n%d", i)
		must(t, b, claimOf(fmt.Sprintf("h%d", i), name), driver.Held)
		must(t, b, claimOf(fmt.Sprintf("a%d", i), name), driver.Queued)
	}
	n := 0
	for st, err := range b.List(testContext(t), "n") {
		if err != nil {
			t.Fatal(err)
		}
		if st.WaiterCount != 1 || st.Holder.Token == 0 || st.Waiters != nil {
			t.Errorf("%+v", st)
		}
		n++
	}
	if n != listPage/2+10 {
		t.Errorf("%d names, want %d", n, listPage/2+10)
	}
}

func TestBreakIsTold(t *testing.T) {
	pfx := prefix(t)
	b1, p1 := open(t, pfx, Lease, connect(t))
	b2, p2 := open(t, pfx, Lease, connect(t))
	a := must(t, b1, claimOf("a", "n"), driver.Held)
	must(t, b2, claimOf("b", "n"), driver.Queued)
	if err := b2.Break(testContext(t), "n", a.Tenure+1); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("Break of another tenure: %v", err)
	}
	start := time.Now()
	if err := b2.Break(testContext(t), "n", a.Tenure); err != nil {
		t.Fatal(err)
	}
	x := p1.wait(t, "gone", "a")
	if x.reason != locker.LostBroken {
		t.Errorf("the reason is %v", x.reason)
	}
	if d := x.at.Sub(start); d > time.Second {
		t.Errorf("the holder was told after %v", d)
	}
	if g := p2.wait(t, "granted", "b"); g.tenure <= a.Tenure {
		t.Errorf("tenure %d after %d", g.tenure, a.Tenure)
	}
	if err := b2.Break(testContext(t), "n", a.Tenure); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("a second Break: %v", err)
	}
	if found, err := b1.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n", Tenure: a.Tenure}}); err != nil || found {
		t.Errorf("Release after Break: %v, %v", found, err)
	}
}
