package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/lockerlib/locker/conformance"
)

// ProgressOptions say where progress is shown.
type ProgressOptions struct {
	Live    bool // w is a terminal whose lines may be drawn over
	Colour  bool // use SGR colour sequences
	Verbose bool // when live: a line per finished check too, not only those that are not green
	Width   int  // columns; 0 means 100
}

// Progress shows how far a run has come: on a terminal a line per backend that
// is drawn over and over, elsewhere a plain line per finished check. Its
// methods are safe for concurrent use. It never fails: a report that cannot be
// followed is still a report.
type Progress struct {
	w    io.Writer
	o    ProgressOptions
	stop chan struct{}
	gone sync.WaitGroup

	mu       sync.Mutex // guards what follows, and writing to w
	backends []*running
	drawn    int // lines on the screen that belong to the live display
	closed   bool
}

// running is what is known about one backend.
type running struct {
	name        string
	done, total int
	current     []string
	bad         int
	begin       time.Time
	took        time.Duration // 0 while it runs
}

// redraw is how often the clocks of the live display move.
const redraw = 250 * time.Millisecond

// NewProgress begins to show progress on w. Close must be called.
func NewProgress(w io.Writer, o ProgressOptions) *Progress {
	if o.Width == 0 {
		o.Width = maxWidth
	}
	p := &Progress{w: w, o: o, stop: make(chan struct{})}
	if o.Live {
		p.gone.Go(p.tick)
	}
	return p
}

func (p *Progress) tick() {
	t := time.NewTicker(redraw)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.mu.Lock()
			p.draw("")
			p.mu.Unlock()
		case <-p.stop:
			return
		}
	}
}

// Backend announces that total checks are about to run on a backend.
func (p *Progress) Backend(name string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.find(name).total = total
	if !p.o.Live {
		p.print(fmt.Sprintf("%s: %s", clean(name), plural(total, "check")))
	}
	p.draw("")
}

// Begin announces that a check has begun.
func (p *Progress) Begin(backend, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.find(backend)
	b.current = append(b.current, id)
	p.draw("")
}

// End announces that a check has ended.
func (p *Progress) End(backend string, res conformance.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.find(backend)
	if i := slices.Index(b.current, res.ID); i >= 0 {
		b.current = slices.Delete(b.current, i, i+1)
	}
	b.done++
	if !res.OK() {
		b.bad++
	}
	if b.done == b.total {
		b.took = max(time.Since(b.begin), 1)
	}
	line := ""
	if !p.o.Live || p.o.Verbose || !res.Verdict.Green() {
		line = p.finished(b, res)
	}
	p.draw(line)
}

// Say prints a line of its own, for instance which server was taken.
func (p *Progress) Say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw(clean(text))
}

// Close draws the last state and ends the display. It may be called again.
func (p *Progress) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.draw("")
	p.closed = true
	close(p.stop)
	p.mu.Unlock()
	p.gone.Wait()
}

func (p *Progress) find(name string) *running {
	for _, b := range p.backends {
		if b.name == name {
			return b
		}
	}
	b := &running{name: name, begin: time.Now()}
	p.backends = append(p.backends, b)
	return b
}

// finished is the line about one check.
func (p *Progress) finished(b *running, res conformance.Result) string {
	l := looks[res.Verdict]
	what := string(res.Verdict)
	if res.Number != "" && res.Verdict.Green() {
		what = res.Number
	} else if res.Seen != "" {
		what += ": " + res.Seen
	}
	head := fmt.Sprintf("%s %d/%d ", clean(b.name), b.done, b.total)
	tail := fmt.Sprintf(" %-4s %s (%s)", clean(res.ID), clean(what), span(res.Took))
	symbol := l.symbol
	if p.o.Colour {
		symbol = "\x1b[" + l.colour + "m" + symbol + "\x1b[0m"
	}
	return head + symbol + tail
}

// print writes one line; the screen has no live lines at this time.
func (p *Progress) print(line string) { _, _ = io.WriteString(p.w, line+"\n") }

// draw replaces the live lines, with line above them if it is not empty. The
// caller holds p.mu.
func (p *Progress) draw(line string) {
	if p.closed {
		return
	}
	if !p.o.Live {
		if line != "" {
			p.print(line)
		}
		return
	}
	var out strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\x1b[J", p.drawn)
	}
	if line != "" {
		out.WriteString(line + "\n")
	}
	for _, b := range p.backends {
		out.WriteString(p.live(b) + "\n")
	}
	p.drawn = len(p.backends)
	_, _ = io.WriteString(p.w, out.String())
}

// live is the line of one backend. It is never wider than the terminal, or the
// next drawing would go up by too few lines.
func (p *Progress) live(b *running) string {
	const barWidth = 20
	name := 0
	for _, o := range p.backends {
		name = max(name, utf8.RuneCountInString(clean(o.name)))
	}
	full := 0
	if b.total > 0 {
		full = min(barWidth*b.done/b.total, barWidth)
	}
	took := b.took
	if took == 0 {
		took = time.Since(b.begin)
	}
	text := fmt.Sprintf("%s  %s%s  %*d/%d  %6s", pad(clean(b.name), name),
		strings.Repeat("█", full), strings.Repeat("░", barWidth-full),
		len(fmt.Sprint(b.total)), b.done, b.total, took.Truncate(100*time.Millisecond))
	if b.bad > 0 {
		text += fmt.Sprintf("  %d not green", b.bad)
	}
	if len(b.current) > 0 {
		text += "  " + clean(strings.Join(b.current, " "))
	}
	if runes := []rune(text); len(runes) > p.o.Width-1 {
		text = string(runes[:p.o.Width-2]) + "…"
	}
	return text
}
