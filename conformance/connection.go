package conformance

import "github.com/lockerlib/locker"

// A Resetter can end the connections of one client at both ends, as a RST does.
type Resetter interface {
	// Reset returns how many there were. New ones work at once.
	Reset(l locker.Locker) (n int, err error)
}

// A HalfOpener can have the connections of one client go dead without a sign,
// as a firewall does that forgets them: both ends keep theirs open, and what
// either sends is swallowed. New ones work at once.
type HalfOpener interface {
	HalfOpen(l locker.Locker) error
	// Swallowed counts what dead connections have swallowed. Without it,
	// nothing shows that there was one.
	Swallowed(l locker.Locker) (int64, error)
}

// A Staller can have one client read nothing for a while, as a process does
// that is stopped or busy: what the server says waits, and fills the buffers on
// the way. What the client says still arrives.
type Staller interface {
	Stall(l locker.Locker) error
	// Unstall ends it: the client reads what has waited, in order. So does
	// Heal of a Linker.
	Unstall(l locker.Locker) error
	// Late counts what was read late. Without it, nothing shows that anything
	// was.
	Late(l locker.Locker) (int64, error)
}

// counted runs fault, and returns a function that shows by count that it had
// an effect, and ends the check as not shown if it had none.
func (t *trial) counted(c *client, what string, count func(locker.Locker) (int64, error), fault func()) (proved func()) {
	before, err := count(c.Locker)
	t.power("count what "+what+" does", err)
	fault()
	return func() {
		after, err := count(c.Locker)
		t.power("count what "+what+" does", err)
		if after == before {
			t.notShown("%s of %s had no effect: nothing met it", what, c.label)
		}
	}
}

// halfOpen has the connections of c go dead without a sign, and returns the
// proof as cut does.
func (t *trial) halfOpen(c *client) (proved func()) {
	rig := t.rig.(HalfOpener)
	return t.counted(c, "the death of the connections", rig.Swallowed, func() {
		t.power("have connections go dead", rig.HalfOpen(c.Locker))
		t.event(c.label, "fault", "", 0, "connections half open")
		t.step("the connections of %s go dead without a sign", c.label)
	})
}

// stall has c read nothing. The proof is for after unstall.
func (t *trial) stall(c *client) (proved func()) {
	rig := t.rig.(Staller)
	late := t.counted(c, "the stall", rig.Late, func() {
		t.power("have a client read nothing", rig.Stall(c.Locker))
		t.event(c.label, "fault", "", 0, "reads nothing")
		t.step("%s reads nothing", c.label)
	})
	deaf := t.canary(c, "the stall")
	return func() {
		deaf()
		late()
	}
}

func (t *trial) unstall(c *client) {
	t.power("have a client read on", t.rig.(Staller).Unstall(c.Locker))
	t.event(c.label, "heal", "", 0, "reads on")
	t.step("%s reads on", c.label)
}

// reset resets the connections of c, and returns how many there were.
func (t *trial) reset(c *client) int {
	n, err := t.rig.(Resetter).Reset(c.Locker)
	t.power("reset connections", err)
	t.event(c.label, "fault", "", 0, "connections reset")
	t.step("%d connections of %s are reset", n, c.label)
	return n
}
