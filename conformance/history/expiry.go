package history

import (
	"fmt"
	"slices"
	"time"
)

// early is how much sooner than its deadline a client may be told of a loss
// that is none of the server's: a Deadline and the clock are not read at once.
const early = time.Millisecond

// CheckExpiry judges the holds that nobody released. Unless they were removed
// from outside or their client was closed, neither may another hold be got, nor
// the server name somebody else, nor the client be told of a loss, before the
// last deadline that the lock reported.
func CheckExpiry(h *History) Finding {
	f := Finding{Property: Expiry, Judge: "deadlines"}
	ended, least := 0, time.Duration(-1)
	names, of := byName(h.tenures())
	looks := make(map[string][]Sighting)
	for _, s := range h.Sightings {
		looks[s.Name] = append(looks[s.Name], s)
	}
	for _, name := range names {
		for i, b := range of[name] {
			if b.Release != 0 && b.Release <= b.Deadline || b.Closed || b.removed || b.Deadline <= b.Got {
				continue
			}
			if b.Gone == 0 && b.Done == 0 && b.Deadline > h.Took {
				continue // still held at the end
			}
			if f.endsEarly(b, of[name][i+1:], looks[name]) {
				return f
			}
			ended++
			for _, next := range of[name][i+1:] {
				if next.certain() > next.from && (next.Client != b.Client || next.Owner == "" || next.Owner != b.Owner) {
					if margin := next.from - b.Deadline; least < 0 || margin < least {
						least = margin
					}
					break
				}
			}
		}
	}
	f.Number = fmt.Sprintf("%s ran out", plural(ended, "lease"))
	switch {
	case ended == 0:
		f.Outcome, f.Seen = Unknown, "no lease ran out"
	case least >= 0:
		f.Number += fmt.Sprintf(", the next holder came %s after the deadline at the earliest", span(least))
	}
	return f
}

func (f *Finding) endsEarly(b belief, later []belief, looks []Sighting) bool {
	f.Name, f.From, f.To = b.Name, b.from, b.Deadline
	f.Expected = "a hold that nobody released or removed is there until its last Deadline"
	for _, next := range later {
		if next.from >= b.Deadline {
			break
		}
		if next.certain() <= next.from || next.Client == b.Client && next.Owner != "" && next.Owner == b.Owner {
			continue // a grant that was removed on its way says nothing
		}
		f.Outcome = Illegal
		f.Seen = fmt.Sprintf("%s got %q with token %d at %s, %s before the deadline of %s.\n%s",
			who(*next.Hold), b.Name, next.Token, clock(next.from), span(b.Deadline-next.from), b.Client, b.tell())
		return true
	}
	i := slices.IndexFunc(looks, func(s Sighting) bool {
		return s.From > b.from && s.To < b.Deadline && (s.Token == 0 || s.Token > b.Token)
	})
	if i >= 0 {
		f.Outcome = Illegal
		f.Seen = fmt.Sprintf("%s before the deadline of %s the server said of %q %s.\n%s", span(b.Deadline-looks[i].To), b.Client, b.Name, looks[i].says(), b.tell())
		return true
	}
	if b.Gone == 0 && b.Lost != "" && b.Done < b.Deadline-early {
		f.Outcome = Illegal
		f.Seen = fmt.Sprintf("%s was told that %q was %s, %s before its deadline.\n%s", who(*b.Hold), b.Name, b.Lost, span(b.Deadline-b.Done), b.tell())
		return true
	}
	f.Name, f.From, f.To, f.Expected = "", 0, 0, ""
	return false
}
