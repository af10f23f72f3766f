package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/lockerlib/locker/conformance"
)

// The kinds of events that are understood. A crash may also be recorded as a
// fault of the client whose text says so.
const (
	kindWait    = "wait"
	kindAcquire = "acquire"
	kindRelease = "release"
	kindLost    = "lost"
	kindFault   = "fault"
	kindHeal    = "heal"
	kindCrash   = "crash"
	kindClose   = "close"

	// failed begins the note that an Acquire ended without a lock.
	failed = "Acquire: "
)

// A stretch is a part of a client's time: it waits for a name, or holds it, or
// believes to although the server took it away, or goes on after the loss.
type stretch struct {
	client, name string
	token        uint64
	from, to     time.Duration
	end          ending
	depth        int // levels of a re-entrant hold that are still held
}

type ending int

const (
	open ending = iota // still so when the recording ended
	released
	lost
	crashed
	taken // removed on the server; the client was not told yet
	done  // a wait that came to its end
)

// A fault is a disturbance of one client, or of all if client is empty.
type fault struct {
	client, text string
	from, to     time.Duration
	healed       bool
}

// A story is what a list of events tells.
type story struct {
	waits, holds  []stretch
	untold, after []stretch // from the server's side to being told; from there to release
	faults        []fault
	notes         []conformance.Event
	end           time.Duration
}

// read turns events into stretches. What does not fit together, as in the
// recording of a broken lock, is kept as far as it can be drawn: a release
// without a hold becomes a note. An event that has no kind of its own is a note
// too; one that says why an Acquire failed ends the wait.
func read(events []conformance.Event) story {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b conformance.Event) int { return cmp.Compare(a.At, b.At) })
	var s story
	for _, e := range events {
		s.end = max(s.end, e.At)
	}
	if slices.ContainsFunc(events, func(e conformance.Event) bool { return e.Kind == kindAcquire && e.At == s.end }) {
		s.end += s.end / 20 // so that this hold can be seen
	}
	for _, e := range events {
		switch e.Kind {
		case kindWait:
			s.waits = append(s.waits, stretch{client: e.Client, name: e.Name, from: e.At, to: s.end})
		case kindAcquire:
			s.acquire(e)
		case kindRelease:
			s.release(e)
		case kindLost:
			s.lose(e)
		case kindFault:
			f := fault{client: e.Client, text: e.Text, from: e.At, to: s.end}
			switch {
			case isCrash(e):
				s.crash(e)
			case e.Name != "":
				s.take(e)
				f.to, f.healed = e.At, true // it happened, and nothing lasts but its effect
			}
			s.faults = append(s.faults, f)
		case kindCrash:
			s.crash(e)
			s.faults = append(s.faults, fault{client: e.Client, text: firstOf(e.Text, "crash"), from: e.At, to: s.end})
		case kindClose:
			s.crash(e) // what it held has ended, and it is told so
		case kindHeal:
			s.heal(e)
		default:
			if e.Name != "" && strings.HasPrefix(e.Text, failed) {
				s.endWait(e)
			}
			s.notes = append(s.notes, e)
		}
	}
	return s
}

func isCrash(e conformance.Event) bool {
	text := strings.ToLower(e.Text)
	return e.Client != "" && (strings.Contains(text, "crash") || strings.Contains(text, "kill"))
}

// find returns the newest open stretch that e can belong to. An event without
// a token fits every hold of its name.
func find(list []stretch, e conformance.Event) *stretch {
	for i := len(list) - 1; i >= 0; i-- {
		s := &list[i]
		if s.end == open && s.client == e.Client && s.name == e.Name && (e.Token == 0 || s.token == e.Token) {
			return s
		}
	}
	return nil
}

// endWait ends the oldest wait, as the queue is served in order.
func (s *story) endWait(e conformance.Event) bool {
	for i := range s.waits {
		w := &s.waits[i]
		if w.end == open && w.client == e.Client && w.name == e.Name {
			w.to, w.end = e.At, done
			return true
		}
	}
	return false
}

func (s *story) acquire(e conformance.Event) {
	s.endWait(e)
	if e.Token != 0 {
		if h := find(s.holds, e); h != nil {
			h.depth++
			return
		}
	}
	s.holds = append(s.holds, stretch{
		client: e.Client, name: e.Name, token: e.Token, from: e.At, to: s.end, depth: 1,
	})
}

func (s *story) release(e conformance.Event) {
	if h := find(s.holds, e); h != nil {
		if h.depth--; h.depth == 0 {
			h.to, h.end = e.At, released
		}
		return
	}
	for _, list := range [][]stretch{s.untold, s.after} {
		if a := find(list, e); a != nil {
			a.to, a.end = e.At, released
			return
		}
	}
	if !s.endWait(e) {
		s.notes = append(s.notes, e)
	}
}

func (s *story) lose(e conformance.Event) {
	h := find(s.holds, e)
	if h == nil {
		h = find(s.untold, e)
	}
	if h == nil {
		s.notes = append(s.notes, e)
		return
	}
	h.to, h.end = e.At, lost
	if e.Client == serverLane {
		return // the server does not go on
	}
	s.after = append(s.after, stretch{client: h.client, name: h.name, token: h.token, from: e.At, to: s.end})
}

// take ends a hold on the server, as an eviction or a break does. Whose it was
// only the token tells, as e.Client may be who did it; where there are no tokens
// it is whose hold it was.
func (s *story) take(e conformance.Event) {
	for i := range s.holds {
		h := &s.holds[i]
		if h.end == open && h.name == e.Name && h.token == e.Token && (e.Token != 0 || h.client == e.Client) && h.client != serverLane {
			h.to, h.end = e.At, taken
			s.untold = append(s.untold, stretch{client: h.client, name: h.name, token: h.token, from: e.At, to: s.end})
			return
		}
	}
}

// crash ends what the client did: nobody is left to believe in its holds.
func (s *story) crash(e conformance.Event) {
	for _, list := range [][]stretch{s.waits, s.holds, s.untold, s.after} {
		for i := range list {
			if list[i].client == e.Client && list[i].end == open {
				list[i].to, list[i].end = e.At, crashed
			}
		}
	}
}

// heal ends every fault of its client, or of all if it names none.
func (s *story) heal(e conformance.Event) {
	for i := range s.faults {
		f := &s.faults[i]
		if !f.healed && (e.Client == "" || f.client == e.Client || f.client == "") {
			f.to, f.healed = e.At, true
		}
	}
}

// A clash is a time in which two holds of one name lived.
type clash struct {
	a, b     stretch
	from, to time.Duration
}

func (c clash) length() time.Duration { return c.to - c.from }

// resolution is what the recording of a check can tell apart: its goroutines
// note what happened shortly after it did.
const resolution = time.Millisecond

// notable drops overlaps that say more about the recording than about the lock,
// unless the check itself found something wrong.
func notable(clashes []clash, green bool) []clash {
	if !green {
		return clashes
	}
	return slices.DeleteFunc(clashes, func(c clash) bool { return c.length() < resolution })
}

// clashes compares what clients believe. The server's lane is not a client:
// its view overlaps with that of the holder by nature.
func (s *story) clashes() []clash {
	holds := slices.Clone(s.holds)
	slices.SortStableFunc(holds, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	var list []clash
	for i, a := range holds {
		for _, b := range holds[i+1:] {
			if b.from >= a.to {
				break
			}
			if a.name != b.name || (a.client == serverLane) != (b.client == serverLane) {
				continue
			}
			if to := min(a.to, b.to); to > b.from {
				list = append(list, clash{a, b, b.from, to})
			}
		}
	}
	return list
}
