package history_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker/conformance/history"
)

const (
	intervals  = "intervals"
	observer   = "server observer"
	deadlines  = "deadlines"
	register   = "register"
	mutex      = "porcupine, " + history.Mutex
	ownerAware = "porcupine, " + history.OwnerAware
	reentrant  = "porcupine, " + history.Reentrant
	fenced     = "porcupine, " + history.Fenced
	both       = "porcupine, " + history.ReentrantFenced
)

// convicted says by whom each stored history must be convicted. Nobody else may
// convict it, and nobody may convict one that is not named here.
var convicted = map[string][]string{
	"illegal-overlap":                       {intervals, mutex, ownerAware, reentrant, fenced, both},
	"illegal-overlap-after-deadlines-moved": {intervals, mutex, ownerAware, reentrant, fenced, both},
	"illegal-goroutines":                    {intervals, mutex, ownerAware, reentrant, fenced, both},
	"illegal-same-owner-elsewhere":          {intervals, mutex, ownerAware, reentrant, fenced, both, register},
	"illegal-first-release-frees":           {intervals, mutex, ownerAware, reentrant, fenced, both},
	"illegal-token-per-level":               {mutex, ownerAware, fenced, both},
	"illegal-constant-token":                {fenced, both, register},
	"illegal-token-falls":                   {fenced, both, register},
	"illegal-early-grant":                   {deadlines},
	"illegal-told-early":                    {deadlines},
	"illegal-stale-write-accepted":          {register},
	"illegal-lost-update":                   {register},
	"illegal-holder-refused":                {register, fenced, both},
	"illegal-two-owners-on-the-server":      {observer, deadlines},
	"illegal-server-disagrees":              {observer},
	"illegal-smaller-token-on-the-server":   {observer},
	"illegal-soak-redislock":                {intervals, mutex, ownerAware, reentrant},
	"illegal-soak-rueidislock":              {intervals, mutex, ownerAware, reentrant},
}

// acquitted are those of real servers, which every judge must acquit: each has
// enough in it for all of them.
var acquitted = []string{"legal-soak-etcd-lease", "legal-soak-redis"}

func stored(t *testing.T) map[string]*history.History {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no stored histories: %v", err)
	}
	all := make(map[string]*history.History)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h, err := history.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = h
	}
	return all
}

func TestStoredHistories(t *testing.T) {
	all := stored(t)
	for _, name := range slices.AppendSeq(slices.Clone(acquitted), maps.Keys(convicted)) {
		if all[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	for name, h := range all {
		t.Run(name, func(t *testing.T) {
			for _, f := range history.Judge(h, time.Minute) {
				want := slices.Contains(convicted[name], f.Judge)
				if f.Outcome != history.Legal && slices.Contains(acquitted, name) {
					t.Errorf("%s does not acquit: %s", f.Judge, f)
				}
				if got := f.Outcome == history.Illegal; got != want {
					t.Errorf("%s\nconvicted by %s: %t, want %t: %s", h.About, f.Judge, got, want, f)
				}
				if f.Outcome == history.Illegal && (f.Expected == "" || f.Seen == "") {
					t.Errorf("no reason is given: %s", f)
				}
			}
		})
	}
}

// A judge that always says yes, or always no, is not let through: each convicts
// a stored history, and acquits one with the word for it.
func TestEveryJudgeSaysYesAndNo(t *testing.T) {
	type words struct{ yes, no bool }
	said := make(map[string]words)
	for _, h := range stored(t) {
		for _, f := range history.Judge(h, time.Minute) {
			w := said[f.Judge]
			w.yes = w.yes || f.Outcome == history.Legal
			w.no = w.no || f.Outcome == history.Illegal
			said[f.Judge] = w
		}
	}
	for _, judge := range []string{intervals, observer, deadlines, register, mutex, ownerAware, reentrant, fenced, both} {
		if w := said[judge]; !w.yes || !w.no {
			t.Errorf("%s acquits: %t, convicts: %t", judge, w.yes, w.no)
		}
	}
}

// What is found is told in words that name everything that matters.
func TestPlainWords(t *testing.T) {
	text := history.CheckOverlaps(stored(t)["illegal-overlap"]).String()
	for _, want := range []string{"C1 and C2 both believed", `"name 1"`, "400.0 ms", "from 0.100 s to 0.500 s", "token 64", "token 128", "released it at"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
}

// Levels that may have begun in any order are what a checker of linearizability
// explodes on. Out of time is not a pass.
func TestOutOfTimeIsNotShown(t *testing.T) {
	h := &history.History{Version: history.Version, TTL: time.Hour, Took: 3 * time.Hour}
	for i := range 40 {
		h.Holds = append(h.Holds, history.Hold{
			ID: i + 1, Client: "C1", Owner: "o", Name: "n", Token: 1, Asked: 1, Got: time.Hour + time.Duration(i), Deadline: 2 * time.Hour,
		})
	}
	h.Holds = append(h.Holds, history.Hold{
		ID: 50, Client: "C2", Name: "n", Token: 2, Asked: 1, Got: time.Hour + 50, Deadline: time.Hour + 60,
	})
	f := history.CheckModel(h, history.Reentrant, 50*time.Millisecond)
	if f.Outcome != history.Unknown || !strings.Contains(f.Seen, "no verdict") {
		t.Errorf("got %s", f)
	}
	// The other judge needs no search.
	if f := history.CheckOverlaps(h); f.Outcome != history.Illegal {
		t.Errorf("got %s", f)
	}
}

func TestModelsAreKnown(t *testing.T) {
	if f := history.CheckModel(&history.History{}, "rubber", time.Second); f.Outcome != history.Unknown {
		t.Errorf("an unknown model said %s", f)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := `{"version":1,"backend":"b","ttl_ns":1,"seed":0,"took_ns":1,"holds":[%]}`
	hold := `{"id":1,"client":"C","name":"n","token":1,"ttl_ns":1,"asked_ns":1,"got_ns":2,"deadline_ns":3}`
	if _, err := history.Decode(strings.NewReader(strings.Replace(good, "%", hold, 1))); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"another version":  strings.Replace(strings.Replace(good, "%", "", 1), `"version":1`, `"version":2`, 1),
		"an unknown field": strings.Replace(strings.Replace(good, "%", "", 1), `"seed"`, `"sheep"`, 1),
		"a second value":   strings.Replace(good, "%", "", 1) + "{}",
		"two of one ID":    strings.Replace(good, "%", hold+","+hold, 1),
		"no client":        strings.Replace(good, "%", strings.Replace(hold, `"C"`, `""`, 1), 1),
		"got before asked": strings.Replace(good, "%", strings.Replace(hold, `"asked_ns":1`, `"asked_ns":9`, 1), 1),
		"no TTL":           strings.Replace(strings.Replace(good, "%", "", 1), `"ttl_ns":1`, `"ttl_ns":0`, 1),
		"half a file":      good[:20],
	} {
		if _, err := history.Decode(strings.NewReader(text)); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}
