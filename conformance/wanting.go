package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// wanting collects which checks showed nothing for want of a power, so that the
// author of a rig sees at the end what the next power is worth.
type wanting struct {
	mu  sync.Mutex
	ids map[Power][]string
}

func (w *wanting) add(c Check, r Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range c.Needs {
		if strings.HasPrefix(r.Seen, lacking(p)) {
			if w.ids == nil {
				w.ids = make(map[Power][]string)
			}
			w.ids[p] = append(w.ids[p], c.ID)
		}
	}
}

// String lists the powers, the one that most checks want first, or is "".
func (w *wanting) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ids) == 0 {
		return ""
	}
	var powers []Power
	n := 0
	for p, ids := range w.ids {
		powers = append(powers, p)
		slices.Sort(ids)
		n += len(ids)
	}
	slices.SortFunc(powers, func(a, b Power) int {
		if d := len(w.ids[b]) - len(w.ids[a]); d != 0 {
			return d
		}
		return strings.Compare(string(a), string(b))
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%d checks have shown nothing, because the rig lacks a power. It has a power by implementing the interface of that name:", n)
	for _, p := range powers {
		fmt.Fprintf(&b, "\n  conformance.%s: %s", p, strings.Join(w.ids[p], " "))
	}
	return b.String()
}
