package conformance

import (
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

// An outage is a time in which the server answers nobody.
type outage struct {
	what  string
	begin func() (proved func())
	end   func()
	// What must be different when connections have to be made anew, or nil: a
	// rival that an ErrUnavailable does not stop, and a wait until a client is
	// answered again.
	rival func(b *client, h *hold) <-chan sight
	over  func()
}

// shortOutage has A hold and B wait through a TTL of outage, with leases of so
// many TTLs.
func (t *trial) shortOutage(name string, ttls int, cs []*client, o outage) {
	a, b, c := cs[0], cs[1], cs[2]
	ttl := locker.WithTTL(time.Duration(ttls) * t.ttl())
	h := a.free(name, ttl)
	next := b.queued(t.ctx, name, ttl)
	proved := o.begin()
	t.sleep(t.ttl())
	o.end()
	proved()
	if o.over != nil {
		o.over()
	}
	t.goesOn(h, next, c, "after a short "+o.what)
}

// longOutage has A hold and B wait through an outage that goes on for as long as
// rest after A was told.
func (t *trial) longOutage(name string, rest time.Duration, cs []*client, o outage) {
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free(name)
	rival := t.rival
	if o.rival != nil {
		rival = o.rival
	}
	seen := rival(b, h)
	t.sleep(t.spacing())
	proved := o.begin()
	lost := h.lost(t.freed(h.TTL()), "a holder whose server says nothing is told by its Deadline")
	if lost.Reason != locker.LostExpired {
		t.broken("the reason of a lease that ran out is expired", "it was %s", lost.Reason)
	}
	t.sleep(rest)
	o.end()
	proved()
	began := time.Now()
	g := t.follows(seen, h, t.recovery())
	t.measured("next holder %s after the %s", short(g.got.Sub(began)), o.what)
	g.kept(c, "after the "+o.what)
	g.drop()
}

// disconnection takes the server off its network. It runs on there, and leases
// run out as if everybody had died.
func (t *trial) disconnection(c *client) outage {
	return outage{
		what: "disconnection",
		begin: func() (proved func()) {
			t.power("disconnect the server", t.rig.(Disconnecter).DisconnectServer(t.ctx))
			t.fault("the server is taken off its network")
			return t.silent(c, "the disconnection of the server")
		},
		end: func() {
			t.power("reconnect the server", t.rig.(Disconnecter).ReconnectServer(t.ctx))
			t.mended("the server is back on its network")
		},
		rival: t.undaunted,
		over:  func() { t.recovers("s18 over", c) },
	}
}

// s18 is S1 and S2 for a network. In the long outage A also holds a name for
// which nobody waits. Its last renewals are still on their way when the network
// is back.
func s18(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	o := t.disconnection(c)
	t.shortOutage("s18 short", 4, cs, o)

	lone := a.free("s18 lone")
	back := make(chan struct{})
	long := o
	long.end = func() {
		o.end()
		close(back)
	}
	// By the end of the outage the server has no lease left of before: the last
	// renewal that it got may be younger than the last one that was answered.
	rest := t.freed(t.ttl()) - t.ttl()/2
	t.each(2, func(i int) {
		if i == 0 {
			t.longOutage("s18 long", rest, cs, long)
			return
		}
		select {
		case <-back:
			o.over()
			t.notRevived(lone, c)
		case <-t.ctx.Done():
		}
	})
	t.recovers("s18 long", a, b)
	t.recovers("s18 lone", a, c)
}

// undaunted is rival for a server that may be silent for longer than an Acquire
// has to wait for it.
func (t *trial) undaunted(b *client, h *hold) <-chan sight {
	seen := make(chan sight, 1)
	t.spawn(func() {
		defer close(seen)
		for {
			o := b.acquire(t.ctx, h.Name())
			if !errors.Is(o.err, locker.ErrUnavailable) {
				seen <- sight{o, h.Err()}
				return
			}
			t.sleep(t.spacing())
		}
	})
	return seen
}

// notRevived has c try for a TTL to find a hold that is over.
func (t *trial) notRevived(h *hold, c *client) {
	const expected = "a renewal that comes late does not bring a hold back"
	if h.Err() == nil {
		t.broken("a holder whose server says nothing is told by its Deadline", "Err of %s was nil after the disconnection", quote(h.Name()))
	}
	const tries = 8
	for range tries {
		switch o := c.try(t.ctx, h.Name()); {
		case o.hold != nil:
			o.hold.drop()
		case errors.Is(o.err, locker.ErrHeld):
			t.broken(expected, "%s was held again, and by nobody: %v", quote(h.Name()), o.err)
		default:
			t.broken("a name that nobody holds is granted", "%s: %v", quote(h.Name()), o.err)
		}
		t.sleep(t.ttl() / tries)
	}
}
