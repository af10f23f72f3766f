package history

import (
	"cmp"
	"slices"
)

// A belief is the time for which a client took a level, or all levels of a
// tenure, to be held.
type belief struct {
	*Hold            // of a tenure: the first level
	from, to Instant // from the return of Acquire
	// The hold was removed on the server from outside: from here on, which may
	// be before to, its client could not know.
	excused Instant
	// The hold may have been removed before its deadline, even if that was
	// after its client had ceased to believe in it.
	removed bool
	id      int // of the tenure
}

// certain is until when the belief must be true.
func (b belief) certain() Instant {
	if b.excused != 0 {
		return min(b.to, b.excused)
	}
	return b.to
}

// believed is until when the client took the level to be held: the earliest of
// the start of Release, Done, the Deadline, and its own end.
func (l *Hold) believed(end Instant) Instant {
	for _, t := range []Instant{l.Deadline, l.Release, l.Done, l.Gone} {
		if t != 0 {
			end = min(end, t)
		}
	}
	return end
}

// released reports whether the hold was ended by its client, as far as the
// client was told.
func (l *Hold) released() bool { return l.Release != 0 && l.Failure == "" && l.Released != 0 }

// levels returns what each client believed, in the order in which it began.
func (h *History) levels() []belief {
	all := make([]belief, 0, len(h.Holds))
	removals := h.removals()
	for i := range h.Holds {
		l := &h.Holds[i]
		b := belief{Hold: l, from: l.Got, to: max(l.Got, l.believed(max(h.Took, l.Got))), id: l.ID}
		for _, f := range removals[l.Name] {
			if f.From > max(b.to, l.Deadline) || f.To < l.Asked || h.escaped(l, f) {
				continue
			}
			b.removed = true
			if f.From <= b.to && (b.excused == 0 || f.From < b.excused) {
				b.excused = max(f.From, b.from)
			}
		}
		all = append(all, b)
	}
	slices.SortStableFunc(all, func(a, b belief) int { return cmp.Compare(a.from, b.from) })
	excuseTogether(all)
	return all
}

// excuseTogether excuses every level of a hold of which one is excused: a level
// that was entered after the removal, before its client was told, is gone with
// the others.
func excuseTogether(all []belief) {
	first := make(map[tenureKey]Instant)
	for _, b := range all {
		if at, ok := first[b.key()]; b.excused != 0 && (!ok || b.excused < at) {
			first[b.key()] = b.excused
		}
	}
	for i, b := range all {
		if at, ok := first[b.key()]; ok && b.Owner != "" {
			all[i].excused, all[i].removed = max(at, b.from), true
		}
	}
}

// Removals says from when on each hold, by its ID, may have been gone because
// it was removed on the server from outside, which its client could not know.
func Removals(h *History) map[int]Instant {
	gone := make(map[int]Instant)
	for _, b := range h.levels() {
		if b.excused != 0 {
			gone[b.ID] = b.excused
		}
	}
	return gone
}

// A tenureKey is what the levels of a re-entrant hold have in common.
type tenureKey struct {
	client, name, owner string
	token               uint64
}

func (l *Hold) key() tenureKey { return tenureKey{l.Client, l.Name, l.Owner, l.Token} }

// removals returns the evictions and breaks of each name.
func (h *History) removals() map[string][]Fault {
	byName := make(map[string][]Fault)
	for _, f := range h.Faults {
		if f.Kind == Evict || f.Kind == Break {
			byName[f.Name] = append(byName[f.Name], f)
		}
	}
	return byName
}

// escaped reports whether a removal surely hit another hold: this one was got
// only later, and the server confirmed to the end that it was there. A Release
// that had to be repeated confirms nothing.
func (h *History) escaped(l *Hold, removal Fault) bool {
	if l.Got <= removal.To || !l.released() {
		return false
	}
	return !slices.ContainsFunc(h.Faults, func(f Fault) bool {
		return f.Kind == Link && f.Client == l.Client && f.From <= l.Released && f.To >= l.Release
	})
}

// tenures joins the levels of a re-entrant hold into one belief.
func (h *History) tenures() []belief {
	var all []belief
	at := make(map[tenureKey]int)
	for _, b := range h.levels() {
		k := b.key()
		i, ok := at[k]
		if b.Owner == "" || !ok || all[i].to < b.from {
			at[k] = len(all)
			all = append(all, b)
			continue
		}
		all[i].to = max(all[i].to, b.to)
		all[i].removed = all[i].removed || b.removed
		if b.excused != 0 && (all[i].excused == 0 || b.excused < all[i].excused) {
			all[i].excused = b.excused
		}
	}
	return all
}

// byName splits beliefs, keeping their order.
func byName(all []belief) (names []string, of map[string][]belief) {
	of = make(map[string][]belief)
	for _, b := range all {
		if of[b.Name] == nil {
			names = append(names, b.Name)
		}
		of[b.Name] = append(of[b.Name], b)
	}
	slices.Sort(names)
	return names, of
}
