package conformance

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance/history"
)

// EnvSeed is the environment variable from which Run takes its seed.
const EnvSeed = "LOCKER_CONFORMANCE_SEED"

// Run runs the suite under the testing package: one subtest per check, named by
// its ID. A check that is not green fails its subtest and prints the rule, what
// was done, what was expected and seen, the seed, and a command that repeats
// it. A check that needs a power which the rig does not have is skipped, and
// says so; with CI=true in the environment it fails, unless the profile
// declares that this backend cannot have that power. With -artifacts, the
// history of a check that judged one and is not green is kept.
//
// Checks run several at a time where they mostly wait for real time to pass,
// whatever -parallel says. Of the options, those about what is run and how many
// at once have a meaning here.
func Run(t *testing.T, m Maker, opts ...VerifyOption) {
	t.Helper()
	var asked plan
	for _, o := range opts {
		o(&asked)
	}
	seed := rand.Uint64()
	if s := os.Getenv(EnvSeed); s != "" {
		given, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s must be a number: %v", EnvSeed, err)
		}
		seed = given
	}
	checks, err := pick(asked.ids, asked.sets)
	if err != nil {
		t.Fatal(err)
	}
	profile := m.Profile()
	if profile.TTL <= 0 {
		t.Fatalf("the profile of %q has no TTL", profile.Backend)
	}
	ci := os.Getenv("CI") == "true"
	var lacks wanting
	signs := feel(t.Context(), m)
	defer signs.end()
	inParallel(len(checks), width(asked.parallel, profile), func(i int) {
		c := checks[i]
		t.Run(c.ID, func(t *testing.T) {
			repeat := fmt.Sprintf("%s=%d go test -count=1 -run '%s'", EnvSeed, seed, pattern(t.Name()))
			p := plan{seed: seed, tt: t, pulse: signs}
			r := p.run1(t, m, c, repeat)
			if r.History != nil {
				keep(t, r.History)
			}
			switch {
			case r.Verdict.Green():
				for _, v := range r.Void {
					t.Log("done again: " + v)
				}
			case skippable(c, r, m.Profile(), ci):
				lacks.add(c, r)
				t.Skip(r.String())
			default:
				t.Error(r.String())
			}
		})
	})
	if s := lacks.String(); s != "" {
		t.Log(s)
	}
}

// keep stores a history among the artifacts of the test, if they are kept.
func keep(t *testing.T, h *history.History) {
	if f := flag.Lookup("test.artifacts"); f == nil || f.Value.String() != "true" {
		t.Log("with -artifacts the history of this check is kept")
		return
	}
	f, err := os.Create(filepath.Join(t.ArtifactDir(), "history.json"))
	if err == nil {
		err = errors.Join(history.Encode(f, h), f.Close())
	}
	if err != nil {
		t.Errorf("the history was not kept: %v", err)
		return
	}
	t.Logf("the history is in %s; testbed/cmd/recheck judges it again", f.Name())
}

func (p *plan) run1(t *testing.T, m Maker, c Check, repeat string) Result {
	p.repeat = func(string, uint64) string { return repeat }
	return p.one(t.Context(), m, c)
}

// skippable reports whether r is for want of a power, and whether that is
// allowed here.
func skippable(c Check, r Result, p Profile, ci bool) bool {
	if r.Verdict != NotShown {
		return false
	}
	for _, power := range c.Needs {
		if !strings.HasPrefix(r.Seen, lacking(power)) {
			continue
		}
		_, byNature := p.Without[power]
		return byNature || !ci
	}
	// An optional check may have nothing to show on a backend: nobody can see who
	// holds a name where Inspect is not offered.
	return r.Class == Optional
}

// pattern is what -run takes to select exactly the test of this name.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + p + "$"
	}
	return strings.Join(parts, "/")
}

// OK reports whether r is nothing to worry about: green, or an optional check
// that could not be shown.
func (r Result) OK() bool {
	return r.Verdict.Green() || r.Verdict == NotShown && r.Class == Optional
}

// OK reports whether every result is.
func (b BackendReport) OK() bool {
	return !slices.ContainsFunc(b.Results, func(r Result) bool { return !r.OK() })
}

// String tells the whole finding, over several lines.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.ID, strings.ToUpper(string(r.Verdict)))
	fmt.Fprintf(&b, "  rule:     %s\n", r.Rule)
	for i, d := range r.Done {
		if i == 0 {
			fmt.Fprintf(&b, "  done:     %s\n", d)
		} else {
			fmt.Fprintf(&b, "            %s\n", d)
		}
	}
	if r.Expected != "" {
		fmt.Fprintf(&b, "  expected: %s\n", r.Expected)
	}
	if r.Seen != "" {
		fmt.Fprintf(&b, "  seen:     %s\n", strings.ReplaceAll(r.Seen, "\n", "\n            "))
	}
	for _, v := range r.Void {
		fmt.Fprintf(&b, "  void:     %s\n", strings.ReplaceAll(v, "\n", "\n            "))
	}
	if r.Number != "" {
		fmt.Fprintf(&b, "  measured: %s\n", r.Number)
	}
	fmt.Fprintf(&b, "  seed:     %d\n", r.Seed)
	fmt.Fprintf(&b, "  repeat:   %s\n", r.Repeat)
	if len(r.Events) > 0 && !r.Verdict.Green() {
		fmt.Fprintf(&b, "  timeline: the last of %d events\n", len(r.Events))
		for _, e := range r.Events[max(0, len(r.Events)-12):] {
			fmt.Fprintf(&b, "    %10s  %-6s %-8s %s", short(e.At), e.Client, e.Kind, quote(e.Name))
			if e.Token != 0 {
				fmt.Fprintf(&b, " token %d", e.Token)
			}
			if e.Text != "" {
				fmt.Fprintf(&b, "  %s", e.Text)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
