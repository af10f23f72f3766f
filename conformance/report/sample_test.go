package report

import (
	"fmt"
	"time"

	"github.com/lockerlib/locker/conformance"
)

const ms = time.Millisecond

// hostile is a name that tries everything that a report must survive.
const hostile = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\u202egnp\n{{.}}"

// sample is a report with every verdict, every kind of event, and a hostile
// name in every place that can hold one.
func sample() *conformance.Report {
	rules := []struct{ id, group, rule, number string }{
		{"B1", "Basic", "A lock can be acquired and released, and then acquired by another client.", "20 rounds"},
		{"B2", "Basic", "Done is open while the lock is held.", "1.00 s"},
		{"B3", "Basic", "A clean release is never reported as a loss.", "40 releases"},
		{"X1", "Exclusion", "While a name is held, TryAcquire gives ErrHeld and no lock, within T/10.", "1.21 ms"},
		{"X2", "Exclusion", "At most one client is inside the section at any instant.", "1,000 handovers"},
		{"X7", "Exclusion", "Goroutines that share a Locker exclude each other as processes do.", "400 handovers"},
		{"W1", "Waiting", "A waiter is blocked until the release and then wakes promptly.", "2.31 ms"},
		{"W3", "Waiting", "A waiter wakes when a crashed holder expires, not only on release.", "2.48 s"},
		{"C2", "Cancellation", "Cancelling a waiter returns within T/4 and leaves no ghost in the queue.", "3.1 ms"},
		{"E1", "Expiry and crash", "A crashed holder's name is free not before its last Deadline and not after T+S.", "2.41 s"},
		{"N1", "Renewal", "A hold lasts for 5T under contention.", "10.0 s"},
		{"L1", "Loss", "A client that is cut off is told before another can acquire.", "23 ms before"},
		{"L3", "Loss", "An evicted holder is told promptly, and its renewal leaves the successor alone.", "12 ms"},
		{"R1", "Re-entry", "n acquires need n releases, in any order; the others stay out at each step.", "24 orders"},
		{"F1", "Fencing", "Tokens strictly increase over clients in real-time order.", "500 grants"},
		{"S4", "Server faults", "A hold survives a kill and restart of the server.", "7 of 20 holds"},
		{"H1", "Hygiene", "After 50 acquires, waits and releases plus Close nothing is left.", "0 keys"},
		{"Z5", "Hostile input", "A name of 1 MiB never reaches the wire.", "0 requests"},
	}
	r := &conformance.Report{
		Version: conformance.ReportVersion,
		Time:    time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		Machine: "linux/amd64, 2 cores, go1.26",
	}
	backends := []conformance.BackendReport{
		{Backend: "memory", Server: "in this process", TTL: 2 * time.Second, Slack: 10 * ms, Took: 900 * ms},
		{Backend: "etcd session", Server: "etcd 3.7.3 (container)", TTL: 2 * time.Second, Slack: 1100 * ms, Took: 62 * time.Second},
		{Backend: "etcd lease", Server: "etcd 3.7.3 (container)", TTL: 2 * time.Second, Slack: 1100 * ms, Took: 58 * time.Second},
		{Backend: "redis", Server: "Redis 7.0.15 (local binary)", TTL: 500 * ms, Slack: 100 * ms, Took: 31 * time.Second},
	}
	for i := range backends {
		for _, rule := range rules {
			backends[i].Results = append(backends[i].Results, conformance.Result{
				ID: rule.id, Rule: rule.rule, Group: rule.group, Class: "required",
				Verdict: conformance.Holds, Number: rule.number, Seed: 42, Took: 1234 * ms,
				Done:   []string{"A acquired \"job\"", "B tried 20 times", "A released", "B acquired"},
				Repeat: fmt.Sprintf("make compare ARGS='-backends %q -run ^%s$ -seed 42'", backends[i].Backend, rule.id),
				Events: crashEvents(),
			})
		}
	}
	set := func(backend int, id string, change func(*conformance.Result)) {
		for j := range backends[backend].Results {
			if res := &backends[backend].Results[j]; res.ID == id {
				change(res)
			}
		}
	}
	set(1, "X7", func(r *conformance.Result) {
		r.Verdict, r.Number = conformance.GivesWay, "2 inside for 1.4 s"
		r.Seen = "two Mutexes of one session have one key, so both held"
		r.Events = overlapEvents()
	})
	set(1, "L1", func(r *conformance.Result) {
		r.Verdict, r.Number = conformance.GivesWay, "500 ms late"
		r.Seen, r.Events = "Done closed 500 ms after the next client had acquired", lateLossEvents()
	})
	set(3, "X2", func(r *conformance.Result) {
		r.Verdict, r.Number = conformance.Broken, "3 overlaps"
		r.Expected = "at most one client inside"
		r.Seen = "A and B were inside together for 1.2 s: " + hostile
		r.Events = overlapEvents()
	})
	set(3, "S4", func(r *conformance.Result) {
		r.Verdict, r.Number = conformance.NotShown, ""
		r.Seen, r.Events, r.Done = "the rig cannot restart the server (power Restarter)", nil, nil
	})
	set(3, "H1", func(r *conformance.Result) {
		r.Verdict, r.Number = conformance.StaleClaim, "0 keys"
		r.Seen = "declared to leave a key, and left none"
	})
	set(2, "L3", func(r *conformance.Result) { r.Events = evictionEvents() })
	set(2, "F1", func(r *conformance.Result) { r.Events = manyEvents(3000) })
	set(0, "Z5", func(r *conformance.Result) {
		r.Verdict, r.Number, r.Events = conformance.Refuses, "ErrInvalid", nil
		r.Done = []string{hostile}
		r.Repeat = "go test -run '" + hostile + "'"
	})
	set(0, "S4", func(r *conformance.Result) {
		r.Verdict, r.Number, r.Class = conformance.NotShown, "", conformance.Optional
		r.Seen, r.Events, r.Done = "the rig has no Restarter: the server lives in this process", nil, nil
	})
	backends[2].Results = backends[2].Results[:len(backends[2].Results)-1] // Z5 was not run there
	r.Backends = backends
	r.Notes = []string{"redis: a stand-in inside this process, not a Redis."}
	return r
}

func crashEvents() []conformance.Event {
	return []conformance.Event{
		{At: 1 * ms, Client: "A", Kind: kindAcquire, Name: "job", Token: 64},
		{At: 30 * ms, Client: "B", Kind: kindWait, Name: "job"},
		{At: 400 * ms, Client: "A", Kind: kindFault, Text: "crash"},
		{At: 2810 * ms, Client: "B", Kind: kindAcquire, Name: "job", Token: 128},
		{At: 2900 * ms, Client: "B", Kind: "note", Text: "T+S had not passed"},
		{At: 3300 * ms, Client: "B", Kind: kindRelease, Name: "job", Token: 128},
	}
}

func overlapEvents() []conformance.Event {
	return []conformance.Event{
		{At: 10 * ms, Client: "A", Kind: kindWait, Name: "job"},
		{At: 20 * ms, Client: "A", Kind: kindAcquire, Name: "job", Token: 64},
		{At: 60 * ms, Client: "B", Kind: kindWait, Name: "job"},
		{At: 500 * ms, Client: "A", Kind: kindFault, Text: "link cut, both ways"},
		{At: 1000 * ms, Client: "", Kind: kindFault, Text: "server paused"},
		{At: 1500 * ms, Client: "", Kind: kindHeal},
		{At: 2000 * ms, Client: "B", Kind: kindAcquire, Name: "job", Token: 128},
		{At: 3200 * ms, Client: "A", Kind: kindLost, Name: "job", Token: 64},
		{At: 3500 * ms, Client: "A", Kind: kindHeal},
		{At: 3900 * ms, Client: "A", Kind: kindRelease, Name: "job", Token: 64},
		{At: 4400 * ms, Client: "B", Kind: kindRelease, Name: "job", Token: 128},
		{At: 4450 * ms, Client: "C", Kind: kindAcquire, Name: hostile, Token: 192},
		{At: 4700 * ms, Client: "C", Kind: kindRelease, Name: hostile, Token: 192},
	}
}

func evictionEvents() []conformance.Event {
	return []conformance.Event{
		{At: 5 * ms, Client: "A", Kind: kindAcquire, Name: "job", Token: 64},
		{At: 20 * ms, Client: "A", Kind: kindFault, Name: "job", Token: 64, Text: "evicted on the server"},
		{At: 25 * ms, Client: "B", Kind: kindAcquire, Name: "job", Token: 128},
		{At: 600 * ms, Client: "A", Kind: kindLost, Name: "job", Token: 64},
		{At: 2000 * ms, Client: "A", Kind: kindRelease, Name: "job", Token: 64},
		{At: 2600 * ms, Client: "B", Kind: kindRelease, Name: "job", Token: 128},
	}
}

func lateLossEvents() []conformance.Event {
	return []conformance.Event{
		{At: 5 * ms, Client: "A", Kind: kindAcquire, Name: "job", Token: 64},
		{At: 5 * ms, Client: serverLane, Kind: kindAcquire, Name: "job", Token: 64},
		{At: 40 * ms, Client: "B", Kind: kindWait, Name: "job"},
		{At: 300 * ms, Client: "A", Kind: kindFault, Text: "link cut up"},
		{At: 2300 * ms, Client: serverLane, Kind: kindLost, Name: "job", Token: 64},
		{At: 2305 * ms, Client: "B", Kind: kindAcquire, Name: "job", Token: 128},
		{At: 2800 * ms, Client: "A", Kind: kindLost, Name: "job", Token: 64},
		{At: 3000 * ms, Client: "A", Kind: kindHeal},
		{At: 3100 * ms, Client: "B", Kind: kindRelease, Name: "job", Token: 128},
	}
}

func manyEvents(n int) []conformance.Event {
	var list []conformance.Event
	for i := range n / 2 {
		client := string(rune('A' + i%3))
		at := time.Duration(i) * 4 * ms
		list = append(list,
			conformance.Event{At: at, Client: client, Kind: kindAcquire, Name: "job", Token: uint64(i+1) << 6},
			conformance.Event{At: at + 3*ms, Client: client, Kind: kindRelease, Name: "job", Token: uint64(i+1) << 6})
	}
	return list
}
