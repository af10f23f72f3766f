package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lockerlib/locker/conformance/history"
)

// tell puts a part of a history on the timeline: what concerns one name, around
// the finding, or else the beginning.
func (t *trial) tell(h *history.History, f history.Finding) {
	name := f.Name
	if name == "" && len(h.Holds) > 0 {
		name = h.Holds[0].Name
	}
	events := story(h, name)
	from := 0
	if f.Outcome == history.Illegal {
		// Of what came before, so much that the beginning of a long hold is
		// there too.
		at := slices.IndexFunc(events, func(e Event) bool { return e.At >= f.From })
		from = max(0, min(at, len(events)-1)-maxEvents/3)
	}
	for _, e := range events[from:min(len(events), from+maxEvents)] {
		t.mu.Lock()
		t.events = append(t.events, e)
		t.mu.Unlock()
	}
}

// story is what a history says about one name, in the order of time.
func story(h *history.History, name string) []Event {
	var events []Event
	add := func(at time.Duration, client, kind string, token uint64, text string) {
		on := name
		if kind == "fault" && token == 0 || kind == "heal" || kind == "close" {
			on = ""
		}
		events = append(events, Event{At: at, Client: client, Kind: kind, Name: on, Token: token, Text: text})
	}
	for _, l := range h.Holds {
		if l.Name != name {
			continue
		}
		add(l.Asked, l.Client, "wait", 0, "")
		add(l.Got, l.Client, "acquire", l.Token, "")
		switch {
		case l.Gone != 0 && (l.Release == 0 || l.Gone < l.Release):
		case l.Done != 0 && l.Lost != "":
			add(min(l.Done, max(l.Deadline, l.Got)), l.Client, "lost", l.Token, l.Lost)
		case l.Release != 0:
			add(l.Release, l.Client, "release", l.Token, "")
		}
	}
	for _, f := range h.Faults {
		switch f.Kind {
		case history.Evict, history.Break:
			if f.Name == name {
				add(f.From, "", "note", 0, f.Text)
			}
		case history.Link:
			add(f.From, f.Client, "fault", 0, f.Text)
			add(f.To, f.Client, "heal", 0, f.Text+": over")
		case "closed":
			add(f.From, f.Client, "close", 0, "")
		default:
			add(f.From, f.Client, "fault", 0, f.Text)
		}
	}
	var owner uint64
	looks := slices.Clone(h.Sightings)
	slices.SortFunc(looks, func(a, b history.Sighting) int { return cmp.Compare(a.From, b.From) })
	for _, s := range looks {
		if s.Name != name || s.Token == owner {
			continue
		}
		if owner != 0 {
			add(s.From, "server", "release", owner, "")
		}
		if owner = s.Token; owner != 0 {
			add(s.From, "server", "acquire", owner, fmt.Sprintf("held by %s", cmp.Or(s.Client, "somebody")))
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return events
}
