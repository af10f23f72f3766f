package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/lockerlib/locker"
)

// A cutRig has one client, whose calls are answered when wait is closed.
type cutRig struct {
	Linker
	wait chan struct{}
	heal func()
}

func (r cutRig) Open(context.Context, ...locker.OpenOption) (locker.Locker, error) {
	return cutLocker{wait: r.wait}, nil
}
func (r cutRig) Close() error                       { return nil }
func (r cutRig) Cut(locker.Locker, Direction) error { return nil }
func (r cutRig) Heal(locker.Locker) error           { r.heal(); return nil }

type cutLocker struct {
	locker.Locker
	wait chan struct{}
}

// TryAcquire does not look at its context, as clients do that have a timeout of
// their own.
func (l cutLocker) TryAcquire(context.Context, string, ...locker.Option) (locker.Lock, error) {
	<-l.wait
	return struct{ locker.Lock }{}, nil
}

func (cutLocker) Close() error { return nil }

type cutMaker struct {
	stubMaker
	heals bool
}

func (m cutMaker) Make(context.Context) (Rig, error) {
	wait := make(chan struct{})
	if m.heals {
		return cutRig{wait: wait, heal: func() { close(wait) }}, nil
	}
	close(wait)
	return cutRig{wait: wait, heal: func() {}}, nil
}

// A canary that is answered when the link is healed shows that the cut was one;
// one that is answered before shows that it was none.
func TestCanaryOverHeal(t *testing.T) {
	body := func(t *trial) {
		a := t.open("A")
		proved := t.cut(a)
		t.sleep(t.ttl() / 2)
		t.heal(a)
		proved()
	}
	for heals, want := range map[bool]Verdict{true: Holds, false: NotShown} {
		m := cutMaker{stubMaker{profile: Profile{TTL: time.Second, Bubble: true, FIFO: true}}, heals}
		c := Check{ID: "T1", Class: Required, Within: 10, body: body}
		if r := execute(context.Background(), m, c, 1, "repeat me", nil); r.Verdict != want {
			t.Errorf("answered at the heal: %v: got %s: %q, want %s", heals, r.Verdict, r.Seen, want)
		}
	}
}
