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
	// The body takes three seconds and finds what it finds in the first tries.
	finds := func(tries int, find func(*trial)) func(*trial) {
		n := 0
		return func(t *trial) {
			t.sleep(3 * time.Second)
			if n++; n <= tries {
				find(t)
			}
		}
	}
	overdue := func(t *trial) { t.overdue("one thing", "it was late") }
	lapsed := func(t *trial) { t.lapsed("one thing", "it was lost") }
	broken := func(t *trial) { t.broken("one thing", "two got it") }
	gives := map[string]string{"T1": "it is known"}
	for name, c := range map[string]struct {
		body  func(*trial)
		still still
		want  Verdict
		says  string
		void  int
	}{
		"no standstill":            {finds(1, overdue), nil, Broken, "late", 0},
		"one that is done again":   {finds(1, overdue), still{{second, 2 * second}}, Holds, "", 1},
		"one that goes on":         {finds(1, overdue), still{{second, 5 * second}}, Holds, "", 1},
		"a long one":               {finds(1, overdue), still{{second, 9 * second}}, Holds, "", 1},
		"one without an end":       {finds(1, overdue), still{{second, time.Hour}}, Broken, "late", 0},
		"late again, and sure":     {finds(2, overdue), still{{second, 2 * second}}, Broken, "late", 1},
		"one each time":            {finds(9, overdue), still{{second, 2 * second}, {4 * second, 5 * second}, {7 * second, 8 * second}}, Broken, "late", 2},
		"too short to matter":      {finds(1, overdue), still{{second, second + 300*time.Millisecond}}, Broken, "late", 0},
		"too short to lose a hold": {finds(1, lapsed), still{{second, second + 350*time.Millisecond}}, Broken, "lost", 0},
		"long enough to lose one":  {finds(1, lapsed), still{{second, second + 600*time.Millisecond}}, Holds, "", 1},
		"just after the finding":   {finds(1, overdue), still{{3*second + 1, 5 * second}}, Broken, "late", 0},
		"long before it":           {func(t *trial) { t.sleep(6 * second); overdue(t) }, still{{0, second}}, Broken, "late", 0},
		"what nothing explains":    {finds(1, broken), still{{second, 2 * second}}, Broken, "two got it", 0},
		"what outweighs it": {finds(1, func(t *trial) {
			t.find(finding{expected: "one thing", seen: "it was late", explained: busy})
			panic("boom")
		}), still{{second, 2 * second}}, Broken, "boom", 0},
		"a panic":                    {finds(1, func(*trial) { panic("boom") }), still{{second, 2 * second}}, Broken, "boom", 0},
		"passed in spite of one":     {finds(0, broken), still{{second, 2 * second}}, Holds, "", 0},
		"nothing proved":             {finds(1, func(t *trial) { t.need(false, "no proof") }), still{{second, 2 * second}}, NotShown, "no proof", 0},
		"an excuse owed to it":       {finds(1, func(t *trial) { t.settle(GivesWay, "", "withheld") }), still{{second, 2 * second}}, Holds, "", 1},
		"before any sign of life":    {finds(1, overdue), still{{0, time.Hour}}, Broken, "late", 0},
		"a check of the faults' set": {nil, still{{second, 2 * second}}, Broken, "late", 0},
		"declared, and owed to it":   {nil, still{{second, 2 * second}}, StaleClaim, "the rule held", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &heart{began: time.Now(), still: c.still}
				h.profile = Profile{Backend: "stub", TTL: time.Second, FIFO: true}
				check := Check{ID: "T1", Class: Required, Within: 10, body: c.body}
				switch name {
				case "a check of the faults' set":
					check.Set, check.body = Faults, finds(1, overdue)
				case "declared, and owed to it":
					h.profile.GivesWay, check.body = gives, finds(1, overdue)
				}
				p := plan{repeat: func(string, uint64) string { return "repeat me" }}
				p.pulse = feel(t.Context(), h)
				defer p.pulse.end()
				synctest.Wait()
				r := p.one(t.Context(), h, check)
				if r.Verdict != c.want || !strings.Contains(r.Seen, c.says) || len(r.Void) != c.void {
					t.Errorf("got %s: %q, void: %q, want %s: %q, %d", r.Verdict, r.Seen, r.Void, c.want, c.says, c.void)
				}
				for _, v := range r.Void {
					if !strings.Contains(v, "no sign of life came from the server") || !strings.Contains(r.String(), v) {
						t.Errorf("a void try says %q, and the result %s", v, r)
					}
				}
			})
		})
	}
}

// A run that was called off has no more tries.
func TestNoTryAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heart{began: time.Now(), still: [][2]time.Duration{{time.Second, 2 * time.Second}}}
		h.profile = Profile{Backend: "stub", TTL: time.Second, FIFO: true}
		ctx, cancel := context.WithCancel(t.Context())
		p := plan{pulse: feel(ctx, h)}
		defer p.pulse.end()
		tries := 0
		r := p.one(ctx, h, Check{ID: "T1", Class: Required, Within: 10, body: func(t *trial) {
			tries++
			t.sleep(2 * time.Second)
			defer cancel()
			t.overdue("one thing", "it was late")
		}})
		if tries != 1 || r.Verdict != Broken || r.Void != nil {
			t.Errorf("%d tries, %s", tries, r)
		}
	})
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
		if got := p.stood(began, time.Now()); got != 0 {
			t.Errorf("a server that never answered stood still for %v: it may be the asking that is wrong", got)
		}
		down.Store(false)
		time.Sleep(time.Second)
		down.Store(true)
		began = time.Now()
		time.Sleep(time.Second)
		if got := p.stood(began, time.Now()); got < 900*time.Millisecond {
			t.Errorf("a server that is down stood still for %v", got)
		}
		down.Store(false)
		time.Sleep(2 * time.Second)
		if got := p.stood(began, time.Now()); got < time.Second || got > 1200*time.Millisecond {
			t.Errorf("a server that was down for a second stood still for %v", got)
		}
		if got := p.stood(time.Now().Add(-500*time.Millisecond), time.Now()); got >= busy {
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
