package conformance

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A heart is a Maker whose server stands still from one time to another.
type heart struct {
	stubMaker
	began time.Time
	still [][2]time.Duration
}

func (h *heart) Pulse(ctx context.Context) error {
	for _, s := range h.still {
		if d := time.Since(h.began); d >= s[0] && d < s[1] {
			select {
			case <-time.After(s[1] - d):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func TestStandstill(t *testing.T) {
	const second = time.Second
	type still = [][2]time.Duration
	// The body takes three seconds and finds what it finds in the first try, or
	// in every one.
	finds := func(tries int, find func(*trial)) func(*trial) {
		n := 0
		return func(t *trial) {
			t.sleep(3 * time.Second)
			if n++; n <= tries {
				find(t)
			}
		}
	}
	broken := func(t *trial) { t.broken("one thing", "saw another") }
	for name, c := range map[string]struct {
		body  func(*trial)
		still still
		want  Verdict
		says  string
		void  int
	}{
		"no standstill":           {finds(1, broken), nil, Broken, "saw another", 0},
		"one that is done again":  {finds(1, broken), still{{second, 2 * second}}, Holds, "", 1},
		"one that goes on":        {finds(1, broken), still{{second, 5 * second}}, Holds, "", 1},
		"a long one":              {finds(1, broken), still{{second, 30 * second}}, Holds, "", 1},
		"broken again, and sure":  {finds(2, broken), still{{second, 2 * second}}, Broken, "saw another", 1},
		"one each time":           {finds(9, broken), still{{second, 2 * second}, {4 * second, 5 * second}, {7 * second, 8 * second}}, NotShown, "saw another", 3},
		"too short to matter":     {finds(1, broken), still{{second, second + 300*time.Millisecond}}, Broken, "saw another", 0},
		"after the finding":       {finds(1, broken), still{{4 * second, 5 * second}}, Broken, "saw another", 0},
		"what nothing explains":   {finds(1, func(t *trial) { t.never("one thing", "two holders") }), still{{second, 2 * second}}, Broken, "two holders", 0},
		"a panic":                 {finds(1, func(*trial) { panic("boom") }), still{{second, 2 * second}}, Broken, "boom", 0},
		"passed in spite of one":  {finds(0, broken), still{{second, 2 * second}}, Holds, "", 0},
		"nothing proved, and why": {finds(1, func(t *trial) { t.need(false, "no proof") }), still{{second, 2 * second}}, Holds, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &heart{began: time.Now(), still: c.still}
				h.profile = Profile{Backend: "stub", TTL: time.Second, FIFO: true}
				p := plan{repeat: func(string, uint64) string { return "repeat me" }}
				p.pulse = feel(t.Context(), h)
				defer p.pulse.end()
				r := p.one(t.Context(), h, Check{ID: "T1", Class: Required, Within: 10, body: c.body})
				if r.Verdict != c.want || !strings.Contains(r.Seen, c.says) || len(r.Void) != c.void {
					t.Errorf("got %s: %q, %d void tries, want %s: %q, %d", r.Verdict, r.Seen, len(r.Void), c.want, c.says, c.void)
				}
				for _, v := range r.Void {
					if !strings.Contains(v, "no sign of life") || !strings.Contains(r.String(), v) {
						t.Errorf("a void try says %q, and the result %s", v, r)
					}
				}
			})
		})
	}
}

// A server that answers with errors has given no sign of life.
func TestStandstillOfErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		p := feel(t.Context(), failing{&down})
		defer p.end()
		began := time.Now()
		time.Sleep(time.Second)
		if got := p.stood(began, time.Now()); got < 900*time.Millisecond {
			t.Errorf("a server that is down stood still for %v", got)
		}
		down.Store(false)
		time.Sleep(2 * time.Second)
		if got := p.stood(began, time.Now()); got < time.Second || got > 1100*time.Millisecond {
			t.Errorf("a server that was down for a second stood still for %v", got)
		}
		if got := p.stood(time.Now().Add(-500*time.Millisecond), time.Now()); got != 0 {
			t.Errorf("long afterwards it stood still for %v", got)
		}
	})
}

type failing struct{ down *atomic.Bool }

func (failing) Profile() Profile                  { return Profile{TTL: time.Second} }
func (failing) Make(context.Context) (Rig, error) { return stubRig{}, nil }
func (f failing) Pulse(context.Context) error {
	if f.down.Load() {
		return errors.New("the server is down")
	}
	return nil
}
