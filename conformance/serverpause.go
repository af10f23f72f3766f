package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
)

// pause stops the server, and has c prove it.
func (t *trial) pause(c *client) (proved func()) {
	t.power("pause the server", t.rig.(Pauser).PauseServer(t.ctx))
	t.fault("the server stands still")
	return t.silent(c, "the pause of the server")
}

func (t *trial) resume() {
	t.power("resume the server", t.rig.(Pauser).ResumeServer(t.ctx))
	t.mended("the server runs on")
}

func (t *trial) standstill(c *client) outage {
	return outage{what: "standstill", begin: func() func() { return t.pause(c) }, end: t.resume}
}

func s1(t *trial) {
	cs := t.clients(3)
	t.shortOutage("s1", 2, cs, t.standstill(cs[2]))
}

func s2(t *trial) {
	cs := t.clients(3)
	t.longOutage("s2", t.ttl()/2, cs, t.standstill(cs[2]))
	t.recovers("s2", cs...)
}

// s14 gives claims up while they are in the server's inbox. The server then
// finds claim and undo there, on connections or streams of their own, and may
// well begin with the undo.
func s14(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	const rounds, each = 4, 20
	name := func(round, i int) string { return fmt.Sprintf("s14 %d %d", round, i) }
	a.free("s14 warm").drop()
	for round := range rounds {
		t.power("pause the server", t.rig.(Pauser).PauseServer(t.ctx))
		t.fault("the server stands still while A claims %d names and gives up", each)
		t.each(each, func(i int) {
			ctx, cancel := context.WithTimeout(t.ctx, t.ttl()/4+time.Duration(t.rand(int64(t.ttl()/8))))
			defer cancel()
			if o := a.try(ctx, name(round, i)); o.hold != nil {
				t.notShown("the pause of the server had no effect: a claim was granted meanwhile")
			}
		})
		if round%2 == 0 {
			// Undos get in line behind the claims. In the other rounds they
			// come when the server is busy with these.
			t.sleep(t.ttl() / 4)
		}
		t.resume()
		t.sleep(t.ttl() / 8)
	}
	taken := func() (held []string) {
		for round := range rounds {
			for i := range each {
				o := b.try(t.ctx, name(round, i))
				switch {
				case o.hold != nil:
					o.hold.drop()
				case errors.Is(o.err, locker.ErrHeld):
					held = append(held, name(round, i))
				default:
					t.broken("a name that nobody holds is granted", "%s: %v", name(round, i), o.err)
				}
			}
		}
		return held
	}
	early := taken()
	t.measured("%d of %d orphans gone at once", rounds*each-len(early), rounds*each)
	t.sleep(t.freed(t.ttl()))
	if left := taken(); len(left) > 0 {
		t.broken("a claim that was given up is gone by one TTL and the slack", "%d of %d were still there: %s", len(left), rounds*each, join(left))
	}
	t.recovers("s14", a, b, c)
}
