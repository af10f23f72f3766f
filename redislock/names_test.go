package redislock

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"pgregory.net/rapid"
)

var nastyNames = []string{
	"p", "P", "p/x", "p/", "/p", "p:h", "p}:h", "{p}", "{", "}", "{}", "}{", "p{q}r", "%", "%25", "%7B", "p%7Dh",
	"a b", " ", "a\x00", "a\x00b", "\n", "a\nb", "\r\n", "*", "?", "[a-z]", "[", "]", "\\", "\\*", "a*", "..", ".",
	"caf\u00e9", "cafe\u0301", "日本", "\U0001F512", strings.Repeat("x", 511) + "1", strings.Repeat("x", 511) + "2", "$1", "' .. os", "]]",
}

func TestNamesNeverShareALock(t *testing.T) {
	prefix := newPrefix()
	a := connect(t, testAddress(t), prefix)
	refs := make(map[string]driver.Ref)
	for _, name := range nastyNames {
		refs[name] = a.hold(name, "id")
	}
	var listed []string
	for s, err := range a.List(testContext(t), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, s.Name)
		if s.Holder.Token != driver.Token(refs[s.Name].Tenure) {
			t.Errorf("List of %q: %+v", s.Name, s.Holder)
		}
	}
	want := slices.Sorted(slices.Values(nastyNames))
	if slices.Sort(listed); !slices.Equal(listed, want) {
		t.Errorf("List gave %q\nwant %q", listed, want)
	}
	for _, begin := range []string{"p", "a", "[", "*", "{", "%", "caf", "\\"} {
		var got, want []string
		for s, err := range a.List(testContext(t), begin) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s.Name)
		}
		for _, name := range nastyNames {
			if strings.HasPrefix(name, begin) {
				want = append(want, name)
			}
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("List of %q gave %q, want %q", begin, got, want)
		}
	}
	for _, name := range nastyNames {
		if !a.release(refs[name]) {
			t.Errorf("%q was gone", name)
		}
	}
}

func TestPrefixesNeverShareALock(t *testing.T) {
	base := newPrefix()
	for _, place := range [][2]string{{"a", "b"}, {"a/b", "c"}, {"a/c", "b"}, {"a*", "b"}, {"a[b]", "b"}, {"", "a"}} {
		p := connect(t, testAddress(t), base+place[0])
		p.hold(place[1], "id-"+place[0])
		n := 0
		for s, err := range p.List(testContext(t), "") {
			if n++; err != nil || s.Name != place[1] {
				t.Errorf("under %q: %+v, %v", place[0], s, err)
			}
		}
		if n != 1 {
			t.Errorf("under %q there are %d locks, want 1", place[0], n)
		}
	}
	for _, bad := range []string{"", "{", "a}b", "a{b}", "a b", strings.Repeat("x", 257), "\xff"} {
		if _, err := New(newClient(t, "127.0.0.1:1"), WithPrefix(bad)); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("prefix %q: %v, want ErrInvalid", bad, err)
		}
	}
}

func TestForeignKeysAreLeftAlone(t *testing.T) {
	prefix := newPrefix()
	a := connect(t, testAddress(t), prefix)
	foreign := []string{prefix + "x", prefix + "{n}", prefix + "{n}:hh", prefix + "{n}:x:h", prefix + "{%zz}:h", prefix + "{}:h", prefix + "{a b}:h"}
	for _, key := range foreign {
		if err := a.client.Set(testContext(t), key, "mine", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	held := a.hold("n", "a")
	for s, err := range a.List(testContext(t), "") {
		if err != nil || s.Name != "n" {
			t.Errorf("List gave %+v, %v", s, err)
		}
	}
	a.release(held)
	for _, key := range foreign {
		if got := a.client.Get(testContext(t), key).Val(); got != "mine" {
			t.Errorf("%s is now %q", key, got)
		}
	}
}

func TestWhatOthersReadArrivesAsItWas(t *testing.T) {
	prefix := newPrefix()
	a, b := connect(t, testAddress(t), prefix), connect(t, testAddress(t), prefix)
	hostile := "'; redis.call('FLUSHALL') -- \" \\ \x00 \r\n$3\r\nfoo }{ %s %d ]] \u2028 </script> " + strings.Repeat("é", 1000)
	began := time.Now()
	held := a.claim(driver.Claim{ID: "a", Name: "n", TTL: time.Minute, Client: "c " + hostile, Owner: "o " + hostile, Metadata: "m " + hostile})
	refused := b.claim(driver.Claim{ID: "t", Name: "n", Try: true})
	b.claim(driver.Claim{ID: "b", Name: "n", TTL: time.Minute, Client: "w", Owner: "", Metadata: hostile})
	s, err := b.Inspect(testContext(t), "n")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []locker.Holder{s.Holder, refused.Holder} {
		if h.Client != "c "+hostile || h.Owner != "o "+hostile || h.Metadata != "m "+hostile || h.Token != driver.Token(held.Tenure) {
			t.Errorf("the holder is %+v", h)
		}
		if h.Remaining <= 0 || h.Remaining > time.Minute+time.Millisecond || h.Since.Sub(began).Abs() > time.Minute {
			t.Errorf("the hold began at %v and has %v left", h.Since, h.Remaining)
		}
	}
	if s.WaiterCount != 1 || len(s.Waiters) != 1 || s.Waiters[0].Client != "w" || s.Waiters[0].Metadata != hostile || s.Waiters[0].Since.Before(s.Holder.Since) {
		t.Errorf("the waiters are %+v", s.Waiters)
	}
	if _, err := a.Inspect(testContext(t), "free"); !errors.Is(err, locker.ErrNotHeld) {
		t.Errorf("Inspect of a free name: %v, want ErrNotHeld", err)
	}
}

func TestEscapeIsReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		e := escape(name)
		if strings.ContainsAny(e, "{} \x00\n") {
			t.Fatalf("escape(%q) = %q", name, e)
		}
		back, ok := unescape(e)
		if !ok || back != name {
			t.Fatalf("unescape(%q) = %q, %v; want %q", e, back, ok, name)
		}
		begin := name[:rapid.IntRange(0, len(name)).Draw(t, "cut")]
		if !strings.HasPrefix(e, escape(begin)) {
			t.Fatalf("escape(%q) does not begin with escape(%q)", name, begin)
		}
		if s := rapid.String().Draw(t, "other"); s != e {
			if other, ok := unescape(s); ok && other == name {
				t.Fatalf("%q and %q are both %q", s, e, name)
			}
		}
	})
}
