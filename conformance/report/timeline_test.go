package report

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker/conformance"
)

// ev is "at kind client name token", with at in milliseconds.
func ev(s string) conformance.Event {
	f := strings.Fields(s)
	at, err := strconv.Atoi(f[0])
	if err != nil {
		panic(err)
	}
	e := conformance.Event{At: time.Duration(at) * ms, Kind: f[1], Client: f[2]}
	if len(f) > 3 {
		e.Name = f[3]
	}
	if len(f) > 4 {
		if e.Token, err = strconv.ParseUint(f[4], 10, 64); err != nil {
			panic(err)
		}
	}
	return e
}

func evs(s ...string) []conformance.Event {
	var list []conformance.Event
	for _, e := range s {
		list = append(list, ev(e))
	}
	return list
}

func TestClashes(t *testing.T) {
	crash := ev("50 fault A")
	crash.Text = "crash"
	taken := ev("5 fault C n 1")
	taken.Text = "broken"
	for name, test := range map[string]struct {
		events []conformance.Event
		want   []time.Duration
	}{
		"one after the other": {evs("0 acquire A n 1", "10 release A n 1", "10 acquire B n 2", "20 release B n 2"), nil},
		"two hold":            {evs("0 acquire A n 1", "10 acquire B n 2", "30 release A n 1", "40 release B n 2"), []time.Duration{20 * ms}},
		"three hold": {evs("0 acquire A n 1", "10 acquire B n 2", "20 acquire C n 3", "30 release A n 1", "30 release B n 2", "30 release C n 3"),
			[]time.Duration{20 * ms, 10 * ms, 10 * ms}},
		"one client twice":     {evs("0 acquire A n 1", "10 acquire A n 2", "15 release A n 1", "20 release A n 2"), []time.Duration{5 * ms}},
		"the same token twice": {evs("0 acquire A n 7", "10 acquire B n 7", "20 release A n 7", "30 release B n 7"), []time.Duration{10 * ms}},
		"other names":          {evs("0 acquire A n 1", "10 acquire B m 2", "20 release A n 1", "20 release B m 2"), nil},
		"re-entry":             {evs("0 acquire A n 1", "5 acquire A n 1", "10 release A n 1", "15 acquire B n 2", "20 release A n 1", "25 release B n 2"), []time.Duration{5 * ms}},
		"loss ends a hold":     {evs("0 acquire A n 1", "10 lost A n 1", "11 acquire B n 2", "30 release A n 1", "40 release B n 2"), nil},
		"late loss":            {evs("0 acquire A n 1", "11 acquire B n 2", "30 lost A n 1", "40 release B n 2"), []time.Duration{19 * ms}},
		"a crash ends a hold":  {append(evs("0 acquire A n 1", "90 acquire B n 2", "100 release B n 2"), crash), nil},
		"the server's view":    {evs("0 acquire A n 1", "0 acquire server n 1", "10 release A n 1", "12 release server n 1"), nil},
		"never released":       {evs("0 acquire A n 1", "10 acquire B n 2", "40 note A"), []time.Duration{30 * ms}},
		"evicted":              {append(evs("0 acquire A n 1", "10 acquire B n 2", "20 lost A n 1", "30 release B n 2"), taken), nil},
		"closed":               {evs("0 acquire A n 1", "5 close A", "10 acquire B n 2", "30 release B n 2"), nil},
		"out of order":         {evs("40 release B n 2", "10 acquire B n 2", "30 release A n 1", "0 acquire A n 1"), []time.Duration{20 * ms}},
	} {
		s := read(test.events)
		var got []time.Duration
		for _, c := range s.clashes() {
			got = append(got, c.length())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: overlaps %v, want %v", name, got, test.want)
		}
	}
}

func TestSentence(t *testing.T) {
	for want, events := range map[string][]conformance.Event{
		`A and B both held "job" for 1.2 s, from 2 s to 3.2 s.`:     overlapEvents(),
		`A crashed with "job" at 400 ms; B got it 2.41 s later.`:    crashEvents(),
		`A and B both held "job" for 495 ms, from 2.31 s to 2.8 s.`: lateLossEvents(),
		`A, B and C held "job" 1,500 times, never two at once.`:     manyEvents(3000),
		`A held "n" once.`: evs("0 acquire A n 1", "5 release A n 1"),
		`A lost "n" at 5 ms; nobody got it afterwards.`:                               evs("0 acquire A n 1", "5 lost A n 1"),
		`A held twice "n" for 5 ms, from 10 ms to 15 ms.`:                             evs("0 acquire A n 1", "10 acquire A n 2", "15 release A n 1", "20 release A n 2"),
		`A lost "n" on the server at 5 ms, and was told 2 ms later.`:                  evs("0 acquire A n 1", "5 fault C n 1", "6 acquire B n 2", "7 lost A n 1"),
		`Somebody waited, and nobody was let in.`:                                     evs("0 wait A n"),
		`Nobody waited and nobody held.`:                                              evs("0 note A"),
		`A and B held 2 names twice, never two at once.`:                              evs("0 acquire A n 1", "0 acquire B m 1", "5 release A n", "6 release B m"),
		`A and B both held "n" for 9 ms, from 1 ms to 10 ms. 1 shorter overlap more.`: evs("0 acquire A n 1", "1 acquire B n 2", "10 release B n 2", "11 acquire B n 3", "12 release A n 1", "13 release B n 3"),
	} {
		s := read(events)
		if got := s.sentence(s.clashes()); got != want {
			t.Errorf("sentence %q, want %q", got, want)
		}
	}
}

// Whatever a broken lock recorded must be drawn within the drawing.
func TestDrawingStaysInside(t *testing.T) {
	for name, events := range map[string][]conformance.Event{
		"crash": crashEvents(), "overlap": overlapEvents(), "late": lateLossEvents(), "many": manyEvents(3000),
		"at once": evs("0 acquire A n 1", "0 release A n 1"),
		"nonsense": evs("0 release A n 1", "3 lost B n 2", "4 heal C", "5 acquire A n 0", "6 acquire A n 0",
			"7 release A", "8 strange D", "9 fault D", "10 crash D", "11 wait D n"),
	} {
		tl := newTimeline(&conformance.Result{Verdict: conformance.Broken, Events: events})
		in := func(what, x, w string) {
			t.Helper()
			from, err1 := strconv.ParseFloat(strings.TrimSuffix(x, "%"), 64)
			length, err2 := 0.0, error(nil)
			if w != "" {
				length, err2 = strconv.ParseFloat(strings.TrimSuffix(w, "%"), 64)
			}
			if err1 != nil || err2 != nil || from < 0 || from > 100 || length < 0 || from+length > 100.5 {
				t.Errorf("%s: a %s from %s, %s wide", name, what, x, w)
			}
		}
		bottom := 0
		for _, l := range tl.Lanes {
			if l.Y < bottom {
				t.Errorf("%s: lane %s overlaps the one above", name, l.Label)
			}
			bottom = l.Y + l.H
			for _, b := range l.Bars {
				in(b.Class, b.X, b.W)
				if b.Y < l.Y || b.Y+b.H > l.Y+l.H {
					t.Errorf("%s: a bar leaves the lane %s", name, l.Label)
				}
			}
			for _, f := range l.Faults {
				in("fault", f.X, f.W)
			}
			for _, n := range l.Notes {
				in("note", n.X, "")
			}
		}
		for _, c := range tl.Clashes {
			in("overlap", c.X, c.W)
		}
		for _, k := range tl.Ticks {
			in("tick", k.X, "")
		}
		if bottom > tl.AxisY || tl.AxisY > tl.Height {
			t.Errorf("%s: lanes end at %d, the axis is at %d of %d", name, bottom, tl.AxisY, tl.Height)
		}
		if n := len(tl.Ticks); n < 1 || n > 8 {
			t.Errorf("%s: %d ticks", name, n)
		}
	}
}

func TestLongRecordingShowsTheWorst(t *testing.T) {
	events := manyEvents(3000)
	at := events[2000].At
	events = append(events, conformance.Event{At: at, Client: "X", Kind: kindAcquire, Name: "job", Token: 1},
		conformance.Event{At: at + 2*ms, Client: "X", Kind: kindRelease, Name: "job", Token: 1})
	tl := newTimeline(&conformance.Result{Verdict: conformance.Broken, Events: events})
	if len(tl.Clashes) == 0 || !tl.Alarm {
		t.Error("the overlap is not in what was drawn")
	}
	if tl.Left == "" || len(tl.Listed) > maxListed {
		t.Errorf("%d events are listed, and it says %q", len(tl.Listed), tl.Left)
	}
}

// What the recording cannot tell apart is no finding, unless the check has one.
func TestShortOverlapOfAGreenCheckIsNotDrawn(t *testing.T) {
	events := evs("0 acquire A n 1", "10 acquire B n 2", "20 release A n 1", "30 release B n 2")
	events[2].At = events[1].At + 400*time.Microsecond
	if newTimeline(&conformance.Result{Verdict: conformance.Holds, Events: events}).Alarm || !newTimeline(&conformance.Result{Verdict: conformance.Broken, Events: events}).Alarm {
		t.Error("an overlap of 0.4 ms must be drawn exactly if the check is not green")
	}
	events[2].At = events[1].At + 2*ms
	if !newTimeline(&conformance.Result{Verdict: conformance.Holds, Events: events}).Alarm {
		t.Error("an overlap of 2 ms is hidden because the check is green")
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 15: "15 ns", 1500: "1.5 µs", 2 * ms: "2 ms", 99900 * time.Microsecond: "99.9 ms",
		2310 * ms: "2.31 s", 90 * time.Second: "90 s", 125 * time.Second: "2 m 05 s",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}
