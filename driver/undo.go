package driver

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// drop forgets a ticket and removes its claim from the server in the
// background. mu is held.
func (l *Locker) drop(t *ticket) {
	t.state = stateEnded
	l.register.forget(t)
	l.undo(t)
}

// undo sends Release for a claim until it is answered, for at most one TTL: by
// then the claim, which nothing renews, has died on the server. mu is held, by
// a call that is inside the gate or by one that ends a hold, which Close waits
// for otherwise.
func (l *Locker) undo(t *ticket) {
	r := Release{Ref: t.ref(), Uncertain: t.uncertain}
	if r.TTL == 0 {
		r.TTL = t.asked
	}
	l.gate.fork()
	s := t.slot
	s.retain()
	if s.undoing++; s.undone == nil {
		s.undone = make(chan struct{})
	}
	go func() {
		defer l.gate.leave()
		defer s.leave()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.undoing--; s.undoing == 0 {
				close(s.undone)
				s.undone = nil
			}
		}()
		lasts, cancel := context.WithTimeout(l.halt, max(r.TTL, time.Second))
		defer cancel()
		for failures := 0; ; failures++ {
			ctx, cancel := context.WithTimeout(lasts, requestTimeout/2)
			_, err := l.backend.Release(ctx, r)
			cancel()
			if err == nil {
				t.slot.mu.Lock()
				t.settled = true
				t.slot.mu.Unlock()
				return
			}
			// Slower with a long TTL: after an outage many may have to be undone.
			pause := min(50*time.Millisecond<<min(failures, 10), max(time.Second, r.TTL/6), 30*time.Second)
			timer := time.NewTimer(pause/2 + rand.N(pause))
			select {
			case <-timer.C:
			case <-lasts.Done():
				timer.Stop()
				l.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a claim could not be undone, it expires by itself",
					slog.String("name", r.Name), slog.Duration("ttl", r.TTL), slog.Any("error", err))
				return
			}
		}
	}()
}
