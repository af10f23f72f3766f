package history

import (
	"cmp"
	"fmt"
	"slices"
)

// CheckFencing judges tokens by a resource that refuses those that are smaller
// than one it has seen. It must refuse the writes of a hold once a later one
// has been there, and must not refuse those of a holder that is certain; the
// value at the end tells whether an update was lost all the same. An unfenced
// control must have lost one: otherwise nobody tried, and nothing was shown.
func CheckFencing(h *History) Finding {
	f := Finding{Property: Fencing, Judge: "register"}
	if !slices.ContainsFunc(h.Holds, func(l Hold) bool { return l.Token != 0 }) {
		f.Outcome, f.Seen = Unknown, "no hold has a token"
		return f
	}
	if f.tokensFall(h) {
		return f
	}
	tenure := make(map[int]belief)
	for _, b := range h.levels() {
		tenure[b.ID] = b
	}
	latest := make(map[string]belief) // of each name, the last got of those that were there
	stale := 0
	for _, a := range h.Accesses {
		b := tenure[a.Hold]
		last, seen := latest[b.Name]
		switch same := seen && b.Token == last.Token && b.Client == last.Client; {
		case a.Accepted && seen && last.from > b.from && !same && b.certain() > b.from:
			f.Outcome, f.Name, f.From, f.To = Illegal, b.Name, b.from, a.At
			f.Expected = "a resource that has seen a later hold refuses an earlier one"
			f.Seen = fmt.Sprintf("the resource of %q accepted %s with token %d at %s, although a later hold, of %s with token %d, had been there.\n%s\n%s",
				b.Name, b.Client, b.Token, clock(a.At), last.Client, last.Token, b.tell(), last.tell())
			return f
		case !a.Accepted && a.At <= b.certain():
			f.Outcome, f.Name, f.From, f.To = Illegal, b.Name, b.from, a.At
			f.Expected = "a resource refuses nothing of a holder that is certain of its hold"
			f.Seen = fmt.Sprintf("the resource of %q refused %s with token %d at %s, because of a greater token.\n%s",
				b.Name, b.Client, b.Token, clock(a.At), b.tell())
			return f
		case !a.Accepted && a.Write:
			stale++
		}
		// A grant that was removed on its way says nothing about the order.
		if (!seen || b.from > last.from) && b.certain() > b.from {
			latest[b.Name] = b
		}
	}
	accepted, lost := 0, 0
	for _, r := range h.Registers {
		if r.Value != r.Accepted {
			f.Outcome, f.Name = Illegal, r.Name
			f.Expected = "no update is lost in a resource that refuses smaller tokens"
			f.Seen = fmt.Sprintf("of %d writes to the resource of %q that were accepted, each of which added one, %d are left", r.Accepted, r.Name, r.Value)
			f.To = h.Took
			return f
		}
		accepted += r.Accepted
		lost += r.ControlWrites - r.ControlValue
	}
	f.Number = fmt.Sprintf("%s, %d stale refused; the unfenced control lost %s", plural(accepted, "write"), stale, plural(lost, "update"))
	if stale == 0 || lost <= 0 {
		f.Outcome, f.Seen = Unknown, "no stale write was tried to the end: "+f.Number
	}
	return f
}

// tokensFall looks for two holds, one entirely asked for after the other was
// got, whose tokens do not increase.
func (f *Finding) tokensFall(h *History) bool {
	names, of := byName(h.tenures())
	for _, name := range names {
		all := of[name]
		// By the time of asking, the greatest token that had been got before.
		asked := slices.Clone(all)
		slices.SortFunc(asked, func(a, b belief) int { return cmp.Compare(a.Asked, b.Asked) })
		i := 0
		var last belief
		for _, b := range asked {
			for ; i < len(all) && all[i].from <= b.Asked; i++ {
				if last.Hold == nil || all[i].Token > last.Token {
					last = all[i]
				}
			}
			if last.Hold == nil || b.Token > last.Token {
				continue
			}
			if b.Owner != "" && b.Client == last.Client && b.Owner == last.Owner && b.Token == last.Token {
				continue // the same hold, whose levels do not touch
			}
			f.Outcome, f.Name, f.From, f.To = Illegal, name, last.from, b.from
			f.Expected = "tokens strictly increase over the holds of a name"
			f.Seen = fmt.Sprintf("of %q, the hold that %s asked for at %s had token %d; that of %s had token %d and had been got before, at %s",
				name, b.Client, clock(b.Asked), b.Token, last.Client, last.Token, clock(last.from))
			return true
		}
	}
	return false
}
