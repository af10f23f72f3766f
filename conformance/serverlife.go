package conformance

import (
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

func s3(t *trial) {
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	server := t.rig.(Restarter)
	h := a.free("s3", t.long())
	next := b.queued(t.ctx, "s3", t.long())
	t.power("kill the server", server.KillServer(t.ctx))
	t.fault("the server is killed")
	proved := t.silent(c, "the kill of the server")
	proved()
	began := time.Now()
	t.power("restart the server", server.RestartServer(t.ctx))
	t.mended("it starts with what it had confirmed")
	took := time.Since(began)
	// A client that waits between attempts to connect may need a moment yet,
	// which refused does not allow for.
	t.recovers("s3 other", c)
	t.need(h.Deadline().After(time.Now()), "the restart took longer than the lease")
	t.goesOn(h, next, c, "after a restart of the server")
	t.measured("restart in %s", short(took))
}

func s4(t *trial) {
	cs := t.clients(3)
	server := t.rig.(Forgetter)
	t.vanishes("s4", cs, func(*hold) {
		t.power("kill the server", server.KillServer(t.ctx))
		t.fault("the server is killed")
		t.silent(cs[2], "the kill of the server")()
		t.power("restart the server", server.RestartEmpty(t.ctx))
		t.mended("it starts with nothing")
	})
}

// s9: the control is a hold from before the cut, which the replica must know.
// Otherwise a replica that never got anything would pass for a cut link.
func s9(t *trial) {
	cs := t.clients(3)
	pair := t.rig.(Failover)
	control := cs[2].free("s9 control", t.long())
	t.power("cut the replication", pair.CutReplication(t.ctx))
	t.fault("the link to the replica is cut")
	t.vanishes("s9", cs, func(*hold) {
		t.power("promote the replica", pair.Promote(t.ctx))
		t.fault("the replica becomes the primary")
		o := cs[1].try(t.ctx, "s9 control")
		t.need(errors.Is(o.err, locker.ErrHeld), "the replica did not have a hold from before the cut: a try said %v", o.err)
	})
	control.held("after the failover, which knew of it")
	control.drop()
}
