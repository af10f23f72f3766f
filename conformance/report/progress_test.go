package report

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/lockerlib/locker/conformance"
)

func TestProgressPlain(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, ProgressOptions{})
	p.Backend("memory", 2)
	p.Begin("memory", "X1")
	p.End("memory", conformance.Result{ID: "X1", Verdict: conformance.Holds, Number: "1.2 ms", Took: 20 * ms})
	p.Begin("memory", "X2")
	p.End("memory", conformance.Result{ID: "X2", Verdict: conformance.Broken, Seen: "two\x1b[2J\ninside", Took: time.Second})
	p.Close()
	p.Close()
	want := "memory: 2 checks\n" +
		"memory 1/2 ✓ X1   1.2 ms (20 ms)\n" +
		"memory 2/2 ✗ X2   broken: two�[2J inside (1 s)\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// A terminal understands what the live display uses: up by n lines, clear to
// the end.
type terminal struct {
	t     *testing.T
	width int
	lines []string
}

func (s *terminal) Write(b []byte) (int, error) {
	text := string(b)
	if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
		var up int
		if _, err := fmt.Sscanf(rest, "%dA", &up); err != nil || up > len(s.lines) {
			s.t.Fatalf("cannot go up in %q with %d lines", text, len(s.lines))
		}
		s.lines = s.lines[:len(s.lines)-up]
		_, text, _ = strings.Cut(rest, "\x1b[J")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n >= s.width && strings.Contains(line, "█") {
			s.t.Errorf("a live line of %d: %s", n, line)
		}
		s.lines = append(s.lines, line)
	}
	return len(b), nil
}

func TestProgressLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := &terminal{t: t, width: 60}
		p := NewProgress(screen, ProgressOptions{Live: true, Width: 60})
		p.Backend("memory", 2)
		p.Backend("redis", 4)
		for i := range 20 {
			p.Begin("memory", fmt.Sprint("check ", i))
		}
		p.Begin("redis", "X1")
		time.Sleep(1500 * ms)
		p.End("redis", conformance.Result{ID: "X1", Verdict: conformance.Holds})
		p.End("redis", conformance.Result{ID: "X2", Verdict: conformance.NotShown, Seen: "no power"})
		p.Close()
		got := strings.Join(screen.lines, "\n")
		want := "redis 2/4 ? X2   not shown: no power (0 ns)\n" +
			"memory  ░░░░░░░░░░░░░░░░░░░░  0/2    1.5s  check 0 check 1…\n" +
			"redis   ██████████░░░░░░░░░░  2/4    1.5s  1 not green"
		if got != want {
			t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
		}
	})
}

func TestProgressConcurrent(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, ProgressOptions{Live: true})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprint("backend ", i%2)
			p.Backend(name, 400)
			for j := range 100 {
				id := fmt.Sprint(i, "-", j)
				p.Begin(name, id)
				p.End(name, conformance.Result{ID: id, Verdict: conformance.Holds})
			}
		})
	}
	wg.Wait()
	p.Close()
	if n := strings.Count(b.String(), "400/400"); n == 0 {
		t.Error("the end is not shown")
	}
}
