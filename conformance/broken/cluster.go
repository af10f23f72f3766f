package broken

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
)

var _ conformance.Cluster = (*rig)(nil)

const (
	members  = 3
	anyDoor  = -1                     // of a client that knows all members
	nobody   = -1                     // leads
	election = 200 * time.Millisecond // from the loss of a leader to the next one
	lag      = 50 * time.Millisecond  // of what a member believes
)

var errNoLeader = errors.New("broken: the cluster has no leader")

// A cluster is the members of a server. Its data is what a majority of them has
// agreed on. Only a member that is led can have a request carried out; the
// others say that they cannot.
type cluster struct {
	leader  int
	before  int // who led before
	members [members]member
	heard   chan struct{} // not nil if somebody waits for a leader
}

// A member takes part unless it is down or cut off from the others.
type member struct {
	down, alone bool

	had data    // what it had stored when it was cut off
	led bool    // it led then
	own *server // which goes on with it, where a flaw lets it

	view *data // what it had stored a little while ago
	at   time.Time
}

func (m *member) part() bool { return !m.down && !m.alone }

// quorum reports whether so many members take part that they can agree. mu is
// held.
func (s *server) quorum() bool {
	n := 0
	for i := range s.cluster.members {
		if s.cluster.members[i].part() {
			n++
		}
	}
	return n > members/2 || n > 0 && s.flaw.quorumOfOne
}

// led reports whether the cluster does anything at all. mu is held.
func (s *server) led() bool { return s.cluster.leader != nobody }

// through says what carries out the requests that come in by a door. mu is
// held.
func (s *server) through(door int) (*server, error) {
	if door != anyDoor {
		switch m := &s.cluster.members[door]; {
		case m.down:
			return nil, errLost
		case m.alone && s.flaw.servesAlone:
			return m.own, nil
		case m.alone:
			return nil, errNoLeader
		}
	}
	if !s.led() {
		return nil, errNoLeader
	}
	return s, nil
}

// regroup is called when a member left or came. A leader without a majority
// resigns, and the members that have one elect another a little later. mu is
// held.
func (s *server) regroup() {
	c := &s.cluster
	if s.led() && (!c.members[c.leader].part() || !s.quorum()) {
		c.before, c.leader = c.leader, nobody
	}
	if !s.led() && s.quorum() {
		time.AfterFunc(election, s.elect)
	}
	s.tellAll()
}

// elect puts a leader in. What renews a lease is known to the leader only, so
// the next one begins all of them anew.
func (s *server) elect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.cluster
	if s.led() || !s.quorum() {
		return
	}
	for i := range c.members {
		if c.members[i].part() {
			c.leader = i
			break
		}
	}
	s.inherit(&c.members[c.leader])
	for _, q := range s.queues {
		for _, c := range q {
			if !c.expires.IsZero() {
				c.expires = s.now().Add(s.flaw.lease(c.ttl))
			}
		}
	}
	s.settleAll()
	s.tellAll()
	if c.heard != nil {
		close(c.heard)
		c.heard = nil
	}
}

// inherit spoils what a leader finds. mu is held.
func (s *server) inherit(leader *member) {
	late := s.flaw.lazyReplicas || s.flaw.diesWithLast && s.cluster.members[s.cluster.before].down
	if late && leader.view != nil {
		s.data = leader.view.snapshot()
	}
	if s.flaw.queueInLeader {
		for name, q := range s.queues {
			s.queues[name] = q[:1]
		}
	}
}

// look brings what the members believe up to date, if that is long ago. mu is
// held.
func (s *server) look() {
	for i := range s.cluster.members {
		if m := &s.cluster.members[i]; m.view == nil || time.Since(m.at) >= lag {
			view := s.snapshot()
			m.view, m.at = &view, time.Now()
		}
	}
}

// seemsFree reports whether a name is free as far as a member knows.
func (s *server) seemsFree(door int, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	return door != anyDoor && len(s.cluster.members[door].view.queues[name]) == 0
}

func (r *rig) Size() int { return members }

// OpenAt opens a client that knows one member.
func (r *rig) OpenAt(ctx context.Context, member int, opts ...locker.OpenOption) (locker.Locker, error) {
	l, err := r.Open(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return l, r.disturb(l, func(w *link) { w.door = member })
}

// Leader waits until a member leads.
func (r *rig) Leader(ctx context.Context) (int, error) {
	s := r.server
	for {
		s.mu.Lock()
		c := &s.cluster
		leader := c.leader
		if leader == nobody && c.heard == nil {
			c.heard = make(chan struct{})
		}
		heard := c.heard
		s.mu.Unlock()
		if leader != nobody {
			return leader, nil
		}
		if err := wait(ctx, heard, -1); err != nil {
			return nobody, fmt.Errorf("waiting for a leader: %w", err)
		}
	}
}

func (r *rig) member(i int, change func(s *server, m *member)) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s, &s.cluster.members[i])
	s.regroup()
	return nil
}

func (r *rig) KillMember(_ context.Context, i int) error {
	return r.member(i, func(_ *server, m *member) { m.down = true })
}

func (r *rig) RestartMember(_ context.Context, i int) error {
	return r.member(i, func(_ *server, m *member) { m.down = false })
}

// Isolate cuts a member off from the others. What it has stored stays as it is.
func (r *rig) Isolate(i int) error {
	return r.member(i, func(s *server, m *member) {
		m.alone, m.led = true, s.cluster.leader == i
		m.had, m.own = s.snapshot(), newServer(s.flaw)
		m.own.data = s.snapshot()
	})
}

// Rejoin has it take over what the others agreed on meanwhile.
func (r *rig) Rejoin(i int) error {
	return r.member(i, func(s *server, m *member) {
		if m.led && s.flaw.oldLeaderRevokes {
			s.revoke(m.had)
		}
		m.alone, m.led, m.own = false, false, nil
	})
}

// revoke removes every claim that ran out as far as others know. mu is held.
func (s *server) revoke(known data) {
	for name, q := range known.queues {
		for _, old := range q {
			if s.now().Before(old.expires) {
				continue
			}
			s.queues[name] = slices.DeleteFunc(s.queues[name], func(c *claim) bool { return c.id == old.id })
			s.settle(name)
		}
	}
}

func clusters() []spoiledLock {
	return []spoiledLock{
		{"reads what is near", "A try asks the next member whether the name is free, and then writes without looking.", "X6", "a held name is refused", flaw{readsLocally: true}},
		{"a minority of its own", "A member that is cut off from the others goes on by itself.", "S6", "told by its Deadline", flaw{servesAlone: true}},
		{"the old leader revokes", "A leader that was cut off revokes, once it is back, what ran out by its own clock.", "S6", "Release of a live hold returns nil", flaw{oldLeaderRevokes: true}},
		{"answers before it replicates", "The leader answers first and tells the others a little later.", "S7", "a held name is refused", flaw{lazyReplicas: true}},
		{"the leader's own queue", "Only the leader knows who waits, and waiters wait for the push only.", "S7", "the waiter gets the name", flaw{queueInLeader: true, onlyPushed: true, waitersLiveForever: true}},
		{"any answer but gone", "A renewal that the cluster could not carry out counts as one.", "S8", "told by its Deadline", flaw{errorRenews: true}},
		{"a quorum of one", "A member that is left alone decides alone.", "S8", "told by its Deadline", flaw{quorumOfOne: true}},
	}
}
