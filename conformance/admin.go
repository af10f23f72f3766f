package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockerlib/locker"
)

// listedNames are more than a careless page holds, with all that a pattern could
// be made of. Whether long ones are told apart is for I1.
func listedNames() []string {
	names := slices.DeleteFunc(nastyNames(), func(name string) bool { return len(name) > 32 })
	for i := len(names); i < 150; i++ {
		names = append(names, fmt.Sprintf("list %03d", i))
	}
	return names
}

// o9 looks by a client that holds nothing. A backend that cannot tell a token
// leaves it zero.
func o9(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	if _, err := c.list(""); errors.Is(err, errors.ErrUnsupported) {
		a.free("o9").drop()
		t.refuses("List says: %v", err)
	}
	names := listedNames()
	held := make(map[string]*hold)
	t.step("A holds %d names at once, B waits for one, and C lists them by %d prefixes", len(names), len(listedPrefixes))
	for _, name := range names {
		held[name] = a.free(name)
	}
	wanted := names[0]
	next := b.queued(t.ctx, wanted)
	seen := c.lists("", held)
	for until := time.Now().Add(2 * t.ttl()); seen[wanted].WaiterCount == 0 && time.Now().Before(until); {
		t.sleep(t.spacing() / 4) // B may not be there yet
		seen = c.lists("", held)
	}
	for name, s := range seen {
		want := 0
		if name == wanted {
			want = 1
		}
		if s.WaiterCount != want || s.Waiters != nil {
			t.broken("List counts the waiters of each name, and does not name them", "%s had %d waiting: it told %d, and named %d", quote(name), want, s.WaiterCount, len(s.Waiters))
		}
	}
	for _, prefix := range listedPrefixes {
		c.lists(prefix, held)
	}
	t.step("C stops listing in between")
	t.bounded(t.ctx, func() {
		n := 0
		for _, err := range locker.List(t.ctx, c.Locker, "") {
			if err != nil {
				t.broken("List names what is held", "it said %v", err)
			}
			if n++; n == 3 {
				break
			}
		}
	})
	t.step("A releases every second name, and B gets what it waits for")
	for i, name := range names {
		held[name].held("while it was listed")
		if i%2 == 0 {
			held[name].drop()
			delete(held, name)
		}
	}
	held[wanted] = t.grant(next, t.prompt(), "a release wakes the waiter promptly")
	t.sleep(t.spacing()) // whether a name is free at once is for B1
	c.lists("", held)
	for _, h := range held {
		h.drop()
	}
	held = nil
	t.sleep(t.spacing())
	c.lists("", held)
	t.measured("%d names", len(names))
}

// listedPrefixes are those of several names, of one and of none. Careless code
// takes some for patterns, or compares what it has escaped.
var listedPrefixes = []string{"list ", "p", "p/", "P", "{p", "{p}", "*", "?", "[", "[p", "\\", "%", "%70", "p\x00", "e", "\u00e9", ".", "nobody's"}

// list reads List to its end.
func (c *client) list(prefix string) (list []locker.Status, err error) {
	t := c.t
	ctx, cancel := context.WithTimeout(t.ctx, 4*t.ttl()+4*t.slop())
	defer cancel()
	ended := t.bounded(ctx, func() {
		for s, failed := range locker.List(ctx, c.Locker, prefix) {
			if err != nil {
				t.broken("an error ends the sequence of List", "after %v there was %s", err, quote(s.Name))
			}
			if err = failed; failed == nil {
				list = append(list, s)
			}
		}
	})
	if !ended {
		t.broken("List returns when its context ends", "it was still blocked")
	}
	return list, err
}

// lists checks that List yields exactly what is held under a prefix.
func (c *client) lists(prefix string, held map[string]*hold) map[string]locker.Status {
	t := c.t
	list, err := c.list(prefix)
	if err != nil {
		t.broken("List names what is held", "by the prefix %s it said %v", quote(prefix), err)
	}
	seen := make(map[string]locker.Status)
	for _, s := range list {
		h := held[s.Name]
		_, twice := seen[s.Name]
		switch {
		case h == nil:
			t.broken("List names only what is held", "nobody held %s", quote(s.Name))
		case !strings.HasPrefix(s.Name, prefix):
			t.broken("List keeps to its prefix", "by the prefix %s it named %s", quote(prefix), quote(s.Name))
		case twice:
			t.broken("List names each hold once", "by the prefix %s it named %s twice", quote(prefix), quote(s.Name))
		case s.Holder.Token != 0 && s.Holder.Token != h.Token():
			t.broken("List tells the token of the holder", "that of %s was %d, and it told %d", quote(s.Name), h.Token(), s.Holder.Token)
		}
		seen[s.Name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(held)) {
		if _, ok := seen[name]; !ok && strings.HasPrefix(name, prefix) {
			t.broken("List names all that is held", "by the prefix %s it named %d, and %s was not among them", quote(prefix), len(seen), quote(name))
		}
	}
	return seen
}

// o11 asks several times, because a server may forget who broke a lock, or be
// too slow to tell it, and a loss is told without waiting for the reason.
func o11(t *trial) {
	a, b := t.pair()
	var reasons []string
	t.step("B breaks locks of A")
	for range 3 {
		h := a.within(t.freed(t.ttl()), "a name whose lock was broken can be acquired", "o11")
		err := locker.Break(t.ctx, b.Locker, "o11", h.Token())
		if errors.Is(err, errors.ErrUnsupported) {
			h.drop()
			t.refuses("Break says: %v", err)
		}
		if err != nil {
			t.broken("Break ends the hold with that token", "it said %v", err)
		}
		t.event("B", "fault", "o11", h.Token(), "broken")
		lost := h.lost(t.ttl()+t.slop(), "the holder of a broken lock is told by the next renewal")
		if lost.Reason == locker.LostBroken {
			return
		}
		reasons = append(reasons, lost.Reason.String())
	}
	t.broken("the holder of a broken lock is told that it was broken", "it was told: %s", join(reasons))
}
