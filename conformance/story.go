package conformance

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lockerlib/locker/conformance/history"
)

// tell puts a part of a history on the timeline: what concerns one name, around
// the finding, or else the beginning.
func (t *trial) tell(h *history.History, f history.Finding) {
	events := excerpt(h, f)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, events...)
}

// excerpt is so much of the story of a finding as a timeline holds.
func excerpt(h *history.History, f history.Finding) []Event {
	name := f.Name
	if name == "" && len(h.Holds) > 0 {
		name = h.Holds[0].Name
	}
	events := newStory(h, name).tell(f)
	from := 0
	if f.Outcome == history.Illegal {
		// Of what came before, so much that the beginning of a long hold is
		// there too.
		at := slices.IndexFunc(events, func(e Event) bool { return e.At >= f.From })
		from = max(0, min(at, len(events)-1)-maxEvents/3)
	}
	return events[from:min(len(events), from+maxEvents)]
}

// A story is what a history says about one name.
type story struct {
	h      *history.History
	name   string
	events []Event
	gone   map[Event]bool // removals that were told: the levels of a hold have one together
}

func newStory(h *history.History, name string) *story {
	return &story{h: h, name: name, gone: make(map[Event]bool)}
}

// tell returns the events in the order of time.
func (s *story) tell(f history.Finding) []Event {
	removed := history.Removals(s.h)
	for i := range s.h.Holds {
		if l := &s.h.Holds[i]; l.Name == s.name {
			s.hold(l, removed[l.ID])
		}
	}
	for _, d := range s.h.Faults {
		s.fault(d)
	}
	s.server()
	if f.Outcome == history.Illegal {
		s.point(f)
	}
	slices.SortStableFunc(s.events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return s.events
}

// add puts something about the name on record.
func (s *story) add(at history.Instant, client, kind string, token uint64, text string) {
	s.events = append(s.events, Event{At: at, Client: client, Kind: kind, Name: s.name, Token: token, Text: text})
}

// meanwhile puts something on record that is not about a name.
func (s *story) meanwhile(at history.Instant, client, kind, text string) {
	s.events = append(s.events, Event{At: at, Client: client, Kind: kind, Text: text})
}

// hold tells what the client of a hold believed. From the removal on it was
// wrong, and could not know.
func (s *story) hold(l *history.Hold, removed history.Instant) {
	s.add(l.Asked, l.Client, "wait", 0, "")
	s.add(l.Got, l.Client, "acquire", l.Token, "")
	if gone := (Event{Client: l.Client, Token: l.Token}); removed != 0 && !s.gone[gone] {
		s.gone[gone] = true
		s.add(removed, l.Client, "fault", l.Token, "removed")
	}
	switch {
	case l.Gone != 0 && (l.Release == 0 || l.Gone < l.Release):
		s.left(l)
	case l.Done != 0 && l.Lost != "":
		told := l.Done
		if l.Deadline != 0 { // else the library tells none
			told = min(told, max(l.Deadline, l.Got))
		}
		s.add(told, l.Client, "lost", l.Token, l.Lost)
		if l.Release > told {
			s.add(l.Release, l.Client, "release", l.Token, "")
		}
	case l.Release != 0:
		s.add(l.Release, l.Client, "release", l.Token, "")
	case l.Deadline != 0 && l.Deadline < s.h.Took:
		s.add(max(l.Deadline, l.Got), l.Client, "lost", l.Token, "certain no longer")
	}
}

// left tells that the client of a hold was gone, unless a fault says so anyway.
func (s *story) left(l *history.Hold) {
	kind, text := "fault", "crashed"
	if l.Closed {
		kind, text = "close", ""
	}
	told := slices.ContainsFunc(s.h.Faults, func(f history.Fault) bool {
		return f.Client == l.Client && (f.Kind == "crashed" || f.Kind == "closed")
	}) || slices.ContainsFunc(s.events, func(e Event) bool { return e.Client == l.Client && e.Name == "" && e.Kind == kind })
	if !told {
		s.meanwhile(l.Gone, l.Client, kind, text)
	}
}

func (s *story) fault(d history.Fault) {
	switch d.Kind {
	case history.Evict, history.Break:
		if d.Name == s.name {
			s.add(d.From, "server", "note", 0, d.Text)
		}
	case history.Link:
		s.meanwhile(d.From, d.Client, "fault", d.Text)
		s.meanwhile(d.To, d.Client, "heal", d.Text+": over")
	case "closed":
		s.meanwhile(d.From, d.Client, "close", "")
	default:
		s.meanwhile(d.From, d.Client, "fault", d.Text)
	}
}

// server tells whom the server named, as far as somebody looked.
func (s *story) server() {
	var owner uint64
	looks := slices.Clone(s.h.Sightings)
	slices.SortFunc(looks, func(a, b history.Sighting) int { return cmp.Compare(a.From, b.From) })
	for _, look := range looks {
		if look.Name != s.name || look.Token == owner {
			continue
		}
		if owner != 0 {
			s.add(look.From, "server", "release", owner, "")
		}
		if owner = look.Token; owner != 0 {
			s.add(look.From, "server", "acquire", owner, fmt.Sprintf("held by %s", cmp.Or(look.Client, "somebody")))
		}
	}
}

// point adds what a finding is about, and what bars do not show: until when a
// hold was certain, and who came to the resource.
func (s *story) point(f history.Finding) {
	holds := make(map[int]*history.Hold)
	for i := range s.h.Holds {
		l := &s.h.Holds[i]
		holds[l.ID] = l
		if f.Property == history.Expiry && l.Name == s.name && l.Got == f.From && l.Deadline != 0 {
			s.add(l.Deadline, l.Client, "note", 0, fmt.Sprintf("certain until here (#%d)", l.Token))
		}
	}
	switch f.Property {
	case history.Ownership:
		s.add(f.From, "server", "note", 0, "contradicts")
		return
	case history.Fencing:
	default:
		return
	}
	for _, a := range s.h.Accesses {
		l := holds[a.Hold]
		if l.Name != s.name || a.At < f.From || a.At > f.To {
			continue
		}
		does, how := "reads", "accepted"
		if a.Write {
			does = "writes"
		}
		if !a.Accepted {
			how = "refused"
		}
		s.add(a.At, l.Client, "note", 0, fmt.Sprintf("#%d %s: %s", l.Token, does, how))
	}
}
