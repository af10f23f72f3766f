package history

import (
	"cmp"
	"fmt"
	"slices"
)

// CheckOwnership judges what the server said. A hold that it named before and
// after some instant was its owner at that instant: no other may be seen in
// between, nor nobody, and later ones have greater tokens. And while a client
// is certain of its hold, the server names that one.
func CheckOwnership(h *History) Finding {
	f := Finding{Property: Ownership, Judge: "server observer"}
	of := make(map[string][]Sighting)
	held := 0
	for _, s := range h.Sightings {
		of[s.Name] = append(of[s.Name], s)
		if s.Token != 0 {
			held++
		}
	}
	if held == 0 {
		f.Outcome, f.Seen = Unknown, "nobody could see who held a name on the server; Lockers that are a locker.Inspector would show it"
		return f
	}
	owners := 0
	for _, list := range of {
		slices.SortFunc(list, func(a, b Sighting) int { return cmp.Compare(a.From, b.From) })
		reigns := reignsOf(list)
		owners += len(reigns)
		if f.twoOwners(list, reigns) {
			return f
		}
	}
	agreed, bad := f.disagrees(h, of)
	if bad {
		return f
	}
	f.Number = fmt.Sprintf("%s, %s seen, %d while a client was certain", plural(len(h.Sightings), "look"), plural(owners, "owner"), agreed)
	if owners < 2 || agreed == 0 {
		f.Outcome, f.Seen = Unknown, "too little was seen: "+f.Number
	}
	return f
}

// A reign is the time for which a hold owned a name on the server without
// doubt: from the end of the first look that saw it to the beginning of the
// last. It may be empty.
type reign struct {
	token    uint64
	from, to Instant
}

func reignsOf(list []Sighting) []reign {
	at := make(map[uint64]int)
	var all []reign
	for _, s := range list {
		if s.Token == 0 {
			continue
		}
		i, ok := at[s.Token]
		if !ok {
			i = len(all)
			at[s.Token] = i
			all = append(all, reign{token: s.Token, from: s.To})
		}
		all[i].from = min(all[i].from, s.To)
		all[i].to = max(all[i].to, s.From)
	}
	return all
}

func (f *Finding) twoOwners(list []Sighting, reigns []reign) bool {
	name := list[0].Name
	f.Expected = "one owner at a time on the server, each with a greater token than the one before"
	for _, s := range list {
		for _, r := range reigns {
			if r.token == s.Token || s.From < r.from || s.To > r.to {
				continue
			}
			f.Outcome, f.Name, f.From, f.To = Illegal, name, s.From, s.To
			f.Seen = fmt.Sprintf("the server said at %s that %q was held with token %d, and again at %s; in between, at %s, it said %s",
				clock(r.from), name, r.token, clock(r.to), clock(s.From), s.says())
			return true
		}
	}
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if a.To <= b.From && a.Token != 0 && b.Token != 0 && b.Token < a.Token {
			f.Outcome, f.Name, f.From, f.To = Illegal, name, a.From, b.To
			f.Seen = fmt.Sprintf("%q was held with token %d at %s and with the smaller token %d at %s", name, a.Token, clock(a.From), b.Token, clock(b.From))
			return true
		}
	}
	f.Expected = ""
	return false
}

func (s Sighting) says() string {
	switch {
	case s.Token == 0:
		return "that nobody held it"
	case s.Client == "":
		return fmt.Sprintf("token %d", s.Token)
	}
	return fmt.Sprintf("%s with token %d", s.Client, s.Token)
}

// disagrees compares the looks with what clients were certain of meanwhile, and
// counts those that agree.
func (f *Finding) disagrees(h *History, of map[string][]Sighting) (agreed int, bad bool) {
	for _, b := range h.tenures() {
		looks := of[b.Name]
		i, _ := slices.BinarySearchFunc(looks, b.from, func(s Sighting, t Instant) int { return cmp.Compare(s.From, t) })
		for _, s := range looks[i:] {
			if s.From >= b.certain() {
				break
			}
			if s.To > b.certain() {
				continue
			}
			// A hold that is handed on inside of a client may have a greater
			// token than the one that the server knows.
			if s.Token != 0 && s.Token <= b.Token && (s.Client == "" || s.Client == b.Client) {
				agreed++
				continue
			}
			f.Outcome, f.Name, f.From, f.To = Illegal, b.Name, s.From, s.To
			f.Expected = "while a client is certain of its hold, the server names it as the owner"
			f.Seen = fmt.Sprintf("at %s the server said of %q %s.\n%s", clock(s.From), b.Name, s.says(), b.tell())
			return agreed, true
		}
	}
	return agreed, false
}
