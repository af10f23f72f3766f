package conformance

import (
	"strings"
)

func isolationChecks() []Check {
	return []Check{
		{ID: "I1", Class: Required, Within: 16, body: i1,
			Rule: "Two different names never share a lock, however alike they are."},
		{ID: "I2", Class: Required, Within: 12, body: i2, Needs: []Power{PowerPrefix},
			Rule: "Two prefixes never share a lock, also when one begins with the other, and leave each other's data alone."},
		{ID: "I3", Class: Required, Within: 12, body: i3, Needs: []Power{PowerPlant},
			Rule: "Data beside the library's own is left alone."},
	}
}

// nastyNames differ in what careless code drops, folds, splits or expands.
func nastyNames() []string {
	long := strings.Repeat("x", 199)
	return []string{
		"p", "P", "p/", "p/x", "p//x", "/p", "p ", " p", "p\x00", "p\x00x", "p\n", "p\r\nx", "\t",
		"{p}", "{p}x", "p{x}", "*", "?", "[p]", "p*", "..", "../p", "./p", "%70", "%2F", "%", "p%00", "p%2Fx",
		"\u00e9", "e\u0301", "\u212b", "\u00c5", "ß", "SS", "ss", "\U0001f512", "\u200b", "\ufeffp",
		long + "a", long + "b", strings.Repeat("y", 511) + "a", strings.Repeat("y", 511) + "b",
		"'", "\"", "\\", "\\x00", "p:1", "p:", ":p", "undo", "client", "v1", "null", "0", "-1", "1e3", "01",
	}
}

func i1(t *trial) {
	a, b := t.pair()
	names := nastyNames()
	held := make([]*hold, len(names))
	t.step("A holds %d names at once that differ in case, slashes, braces, escapes, composition or the last byte", len(names))
	for i, name := range names {
		o := a.try(t.ctx, name)
		if o.err != nil {
			t.broken("two different names never share a lock", "with %d others held, %s was refused: %v", i, quote(name), o.err)
		}
		if o.hold.Name() != name {
			t.broken("Name is the name given to Acquire", "%s became %s", quote(name), quote(o.hold.Name()))
		}
		held[i] = o.hold
	}
	for _, name := range names {
		b.refused(name, "while A held it")
	}
	// Every second one is given back: exactly these, and no others, are free.
	for i, h := range held {
		if i%2 == 0 {
			h.drop()
		}
	}
	for i, name := range names {
		if i%2 == 0 {
			o := b.try(t.ctx, name)
			if o.err != nil {
				t.broken("a released name is free although similar ones are held", "%s: %v", quote(name), o.err)
			}
			held[i] = o.hold
		} else {
			b.refused(name, "while A held it and similar ones were released")
			held[i].held("while similar names were released")
		}
	}
	for _, h := range held {
		h.drop()
	}
	t.measured("%d names", len(names))
}

// i2 pairs prefixes and names whose concatenation is the same, or nearly so.
func i2(t *trial) {
	places := []struct{ prefix, name string }{
		{"a", "n"}, {"b", "n"}, {"a", "b/c"}, {"a/b", "c"}, {"a/b/c", "n"}, {"ab", "c"}, {"a", "bc"}, {"A", "n"}, {"a", "b:c"}, {"a:b", "c"},
	}
	first, second := make(map[string]*client), make(map[string]*client)
	held := make([]*hold, len(places))
	t.step("%d places, prefix and name, are held at once", len(places))
	for i, p := range places {
		for label, cs := range map[string]map[string]*client{"A": first, "B": second} {
			if cs[p.prefix] == nil {
				l, err := t.rig.(Prefixer).OpenUnder(t.ctx, p.prefix)
				t.power("open a client under a prefix", err)
				cs[p.prefix] = &client{Locker: l, t: t, label: label + " under " + p.prefix}
			}
		}
		o := first[p.prefix].try(t.ctx, p.name)
		if o.err != nil {
			t.broken("two prefixes never share a lock", "%s was refused under the prefix %q: %v", quote(p.name), p.prefix, o.err)
		}
		held[i] = o.hold
	}
	for _, p := range places {
		second[p.prefix].refused(p.name, "while another client under the prefix "+p.prefix+" held it")
	}
	for i, p := range places {
		held[i].drop()
		second[p.prefix].free(p.name).drop()
		for _, other := range held[i+1:] {
			other.held("when a lock under another prefix was released")
		}
	}
	t.measured("%d places", len(places))
}

func i3(t *trial) {
	a, b := t.pair()
	intact, err := t.rig.(Planter).Plant(t.ctx)
	t.power("plant foreign data", err)
	t.power("see its own foreign data", intact(t.ctx))
	t.step("clients hold, wait, release and close beside foreign data")
	for range 3 {
		h := a.free("i3")
		next := b.queued(t.ctx, "i3")
		h.drop()
		t.grant(next, t.prompt(), "a release wakes the waiter promptly").drop()
	}
	for _, c := range []*client{a, b} {
		if err := c.Close(); err != nil {
			t.broken("Close returns nil", "it said %v", err)
		}
	}
	if err := intact(t.ctx); err != nil {
		t.broken("foreign data is left alone", "%v", err)
	}
}
