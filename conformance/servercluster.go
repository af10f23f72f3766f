package conformance

import (
	"fmt"
	"time"
)

// at opens a client that knows one member.
func (t *trial) at(label string, member int) *client {
	l, err := t.rig.(Cluster).OpenAt(t.ctx, member)
	if err != nil {
		t.live()
		t.notShown("client %s could not be opened: %v", label, err)
	}
	return &client{Locker: l, t: t, label: label}
}

func (t *trial) leader() int {
	m, err := t.rig.(Cluster).Leader(t.ctx)
	t.power("tell who leads", err)
	return m
}

// x6 has clients at different members. A member that answered from its own
// state without asking the others would grant what was granted elsewhere.
func x6(t *trial) {
	cluster := t.rig.(Cluster)
	n := cluster.Size()
	t.need(n > 1, "the cluster has %d member", n)
	cs := make([]*client, n)
	for i := range cs {
		cs[i] = t.at(fmt.Sprintf("at member %d", i), i)
	}
	var inside, last counter
	const rounds = 20
	t.step("a client at each of %d members: each holds %d times; every other is refused at once", n, rounds)
	t.each(n, func(i int) {
		for range rounds {
			o := cs[i].acquire(t.ctx, "x6")
			if o.err != nil {
				t.broken("Acquire gets the name in the end", "%s got %v", cs[i].label, o.err)
			}
			if inside.add(1) > 1 {
				t.never("one client is inside at a time", "%s got in while another was", cs[i].label)
			}
			token := int64(o.hold.Token())
			if before := last.get(); token <= before {
				t.never("tokens increase from member to member", "%d followed %d", token, before)
			}
			last.n.Store(token)
			cs[(i+1)%n].refused("x6", "while "+cs[i].label+" held it")
			inside.add(-1)
			o.hold.drop()
		}
	})
	t.measured("%d holds", rounds*n)
}

func s6(t *trial) {
	cluster := t.rig.(Cluster)
	n := cluster.Size()
	t.need(n > 2, "a cluster of %d has no majority without one of them", n)
	leader := t.leader()
	t.minority("a follower", (leader+1)%n, (leader+2)%n)
	leader = t.leader()
	t.minority("the leader", leader, (leader+1)%n)
}

func (t *trial) minority(what string, alone, other int) {
	cluster := t.rig.(Cluster)
	name := "s6 " + what
	a, b := t.at("A at "+what, alone), t.at("B at another", other)
	h := a.free(name)
	seen := t.rival(b, h)
	t.sleep(t.spacing())
	t.power("isolate a member", cluster.Isolate(alone))
	t.fault("%s is cut off from the other members", what)
	proved := t.apart(a, b, "the isolation of "+what)
	_ = h.lost(t.ttl()+t.freed(h.TTL()), "a holder on the minority side is told by its Deadline")
	told := time.Now()
	proved()
	a.unanswered(name+" new", "on the minority side")
	g := t.follows(seen, h, t.recovery()+t.ttl())
	t.measured("told %s before the majority granted", short(g.got.Sub(told)))
	t.power("let the member rejoin", cluster.Rejoin(alone))
	t.mended("the members reach each other again")
	g.held("after the members reach each other again")
	g.drop()
	t.recovers(name, a, b)
}

func s7(t *trial) {
	cluster := t.rig.(Cluster)
	cs := t.clients(3)
	a, b, c := cs[0], cs[1], cs[2]
	h := a.free("s7", t.long())
	next := b.queued(t.ctx, "s7", t.long())
	leader := t.leader()
	t.power("kill the leader", cluster.KillMember(t.ctx, leader))
	t.fault("the leader is killed")
	began := time.Now()
	now := t.leader()
	t.need(now != leader, "the member that was killed leads")
	t.mended("another leads")
	took := time.Since(began)
	c.within(t.recovery(), "after an election an acquire succeeds", "s7 other").drop()
	t.need(h.Deadline().After(time.Now()), "the election took longer than the lease")
	t.goesOn(h, next, c, "after the death of the leader")
	t.power("restart the member", cluster.RestartMember(t.ctx, leader))
	t.recovers("s7", a, b, c)
	t.measured("a new leader after %s", short(took))
}

func s8(t *trial) {
	cluster := t.rig.(Cluster)
	cs := t.clients(2)
	a, b := cs[0], cs[1]
	h := a.free("s8")
	seen := t.rival(b, h)
	t.sleep(t.spacing())
	n := cluster.Size()
	down := n/2 + 1
	t.need(n > 2, "a cluster of %d has no member to spare", n)
	// That the quorum is lost is not proved by A, whose grant would be a finding.
	var dead []*client
	for m := range down {
		dead = append(dead, t.at(fmt.Sprintf("at member %d", m), m))
	}
	for m := range down {
		t.power("kill a member", cluster.KillMember(t.ctx, m))
	}
	t.fault("%d of %d members are killed", down, n)
	var proofs []func()
	for m, c := range dead {
		proofs = append(proofs, t.silent(c, fmt.Sprintf("the kill of member %d", m)))
	}
	// A leader goes on renewing until it notices that it is alone. Whoever leads
	// next begins every lease anew, so that costs no safety.
	_ = h.lost(t.ttl()+t.freed(h.TTL()), "without a quorum a holder is told by its Deadline")
	for _, proved := range proofs {
		proved()
	}
	a.unanswered("s8 new", "without a quorum")
	began := time.Now()
	for m := range down {
		t.power("restart a member", cluster.RestartMember(t.ctx, m))
	}
	t.mended("all members are back")
	g := t.follows(seen, h, t.recovery()+t.ttl())
	t.measured("next holder %s after the first restart", short(g.got.Sub(began)))
	g.kept(a, "after the quorum came back")
	g.drop()
	t.recovers("s8", a, b)
}
