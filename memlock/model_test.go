package memlock

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker/driver"
	"pgregory.net/rapid"
)

// TestServerAgreesWithItsModel runs random requests of two clients against the
// server and against a model that is too slow and too simple to be wrong in the
// same way: slices that are searched from the front, and no timer.
func TestServerAgreesWithItsModel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// Not a *testing.T, whose Deadline is in real time and panics in a bubble.
		rapid.Check(struct{ *testing.T }{t}, func(rt *rapid.T) {
			s := NewServer()
			m := &model{now: time.Now(), last: map[string]uint64{}, names: map[string][]*entry{}, undone: map[string]time.Time{}}
			r := &run{t: rt, m: m, peers: []*peer{newPeer(t, s, "a"), newPeer(t, s, "b")}}
			rt.Repeat(map[string]func(*rapid.T){
				"claim":   r.claim,
				"renew":   r.renew,
				"release": r.release,
				"break":   r.breaks,
				"pass":    r.pass,
				"":        r.check,
			})
			time.Sleep(4 * ttl)
			synctest.Wait()
			for _, p := range r.peers {
				p.leaves()
			}
			empty(t, s)
		})
	})
}

type entry struct {
	id, owner string
	client    int
	held      bool
	tenure    uint64 // 0 until an answer has told it
	ttl       time.Duration
	deadline  time.Time
}

type model struct {
	now    time.Time
	last   map[string]uint64   // the greatest tenure that was seen of a name
	names  map[string][]*entry // the first one holds
	undone map[string]time.Time
	told   [2][]string
}

func (m *model) find(name, id string) *entry {
	for _, e := range m.names[name] {
		if e.id == id {
			return e
		}
	}
	return nil
}

// seen returns the tenure that e must have when the server says tenure: the
// same as ever, or any that is greater than those before it.
func (m *model) seen(e *entry, name string, tenure uint64) uint64 {
	if e.tenure == 0 && tenure > m.last[name] {
		e.tenure, m.last[name] = tenure, tenure
	}
	return e.tenure
}

func (m *model) tell(e *entry, format string, args ...any) {
	m.told[e.client] = append(m.told[e.client], fmt.Sprintf(format, args...))
}

// remove takes entries away, then sees to it that the first one holds.
func (m *model) remove(name string, gone func(*entry) bool) {
	m.names[name] = slices.DeleteFunc(m.names[name], gone)
	if q := m.names[name]; len(q) > 0 && !q[0].held {
		q[0].held = true
		m.tell(q[0], "granted %s", q[0].id)
	}
}

func (m *model) pass(d time.Duration) {
	for end := m.now.Add(d); m.now.Before(end); m.now = m.now.Add(time.Second) {
		next := m.now.Add(time.Second)
		for name := range m.names {
			m.remove(name, func(e *entry) bool {
				if next.Before(e.deadline) {
					return false
				}
				m.tell(e, "gone %s expired", e.id)
				return true
			})
		}
	}
}

// A run draws requests, sends them, and compares.
type run struct {
	t     *rapid.T
	m     *model
	peers []*peer
}

// claimIDs belong to one client and one name each, as real ones do.
var claimIDs = func() (ids []driver.Claim) {
	for i := range 12 {
		ids = append(ids, driver.Claim{ID: fmt.Sprint("c", i), Name: fmt.Sprint("n", i/6)})
	}
	return ids
}()

func (r *run) draw(t *rapid.T) (client int, c driver.Claim) {
	i := rapid.IntRange(0, len(claimIDs)-1).Draw(t, "claim")
	c = claimIDs[i]
	c.TTL = time.Duration(rapid.IntRange(1, 4).Draw(t, "ttl")) * 5 * time.Second
	return i % 2, c
}

func (r *run) claim(t *rapid.T) {
	client, c := r.draw(t)
	c.Owner = rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "owner")
	c.Try = rapid.Bool().Draw(t, "try")
	got := r.peers[client].claims(c)

	want := driver.Answer{State: driver.Gone}
	e := r.m.find(c.Name, c.ID)
	switch {
	case r.m.now.Before(r.m.undone[c.ID]):
	case e == nil && c.Try && len(r.m.names[c.Name]) > 0:
		want.State = driver.Refused
	default:
		if e == nil {
			e = &entry{id: c.ID, client: client, deadline: r.m.now}
			r.m.names[c.Name] = append(r.m.names[c.Name], e)
			e.held = len(r.m.names[c.Name]) == 1
		}
		e.owner, e.ttl = c.Owner, c.TTL
		e.deadline = later(e.deadline, r.m.now.Add(c.TTL))
		want = driver.Answer{State: driver.Queued, TTL: c.TTL}
		if e.held {
			want.State, want.Tenure = driver.Held, r.m.seen(e, c.Name, got.Tenure)
		}
	}
	if got.State != want.State || got.Tenure != want.Tenure || got.TTL != want.TTL {
		t.Fatalf("Claim(%+v) = %+v, want %+v", c, got, want)
	}
}

func (r *run) renew(t *rapid.T) {
	client, c := r.draw(t)
	answers, err := r.peers[client].Renew(r.peers[client].t.Context(), []driver.Ref{{ID: c.ID, Name: c.Name, TTL: c.TTL}})
	if err != nil {
		t.Fatal(err)
	}
	want := driver.Answer{State: driver.Gone}
	if e := r.m.find(c.Name, c.ID); e != nil {
		e.deadline = later(e.deadline, r.m.now.Add(c.TTL))
		want.State = driver.Queued
		if e.held {
			want.State, want.Tenure = driver.Held, r.m.seen(e, c.Name, answers[0].Tenure)
		}
	}
	if got := answers[0]; got.State != want.State || got.Tenure != want.Tenure {
		t.Fatalf("Renew(%s) = %+v, want %+v", c.ID, got, want)
	}
}

func (r *run) release(t *rapid.T) {
	client, c := r.draw(t)
	uncertain := rapid.Bool().Draw(t, "uncertain")
	got := r.peers[client].releases(c.ID, c.Name, uncertain)
	e := r.m.find(c.Name, c.ID)
	if got != (e != nil) {
		t.Fatalf("Release(%s) found it: %v, want %v", c.ID, got, e != nil)
	}
	r.m.remove(c.Name, func(o *entry) bool { return o == e })
	if uncertain {
		keep := ttl // of the release, or of the claim where it was there
		if e != nil {
			keep = max(keep, e.ttl)
		}
		r.m.undone[c.ID] = r.m.now.Add(keep)
	}
}

func (r *run) breaks(t *rapid.T) {
	name := rapid.SampledFrom([]string{"n0", "n1"}).Draw(t, "name")
	right := rapid.Bool().Draw(t, "right tenure")
	tenure := r.m.last[name] + 1000
	if st, err := r.peers[0].server.inspect(name); err == nil && right {
		tenure = driver.Tenure(st.Holder.Token)
	}
	err := r.peers[0].Break(r.peers[0].t.Context(), name, tenure)
	hit := false
	r.m.remove(name, func(e *entry) bool {
		if !e.held || !right {
			return false
		}
		hit = true
		r.m.tell(e, "gone %s broken", e.id)
		return true
	})
	if (err == nil) != hit {
		t.Fatalf("Break(%s, %d) = %v, want it to hit: %v", name, tenure, err, hit)
	}
}

func (r *run) pass(t *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * time.Second
	time.Sleep(d)
	synctest.Wait()
	r.m.pass(d)
}

// check compares everything that can be seen.
func (r *run) check(t *rapid.T) {
	synctest.Wait()
	for i, p := range r.peers {
		p.mu.Lock()
		got := p.pushed
		p.pushed = nil
		p.mu.Unlock()
		want := r.m.told[i]
		r.m.told[i] = nil
		for j, g := range got { // the model's grants carry no tenure
			var id string
			var tenure uint64
			if n, _ := fmt.Sscanf(g, "granted %s %d", &id, &tenure); n == 2 {
				got[j] = "granted " + id
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("client %s was told %q, want %q", p.name, got, want)
		}
	}
	s := r.peers[0].server
	for _, name := range []string{"n0", "n1"} {
		want := r.m.names[name]
		st, err := s.inspect(name)
		if (err == nil) != (len(want) > 0) {
			t.Fatalf("%s: %+v, %v, want %d claims", name, st, err, len(want))
		}
		if err != nil {
			continue
		}
		if tenure := driver.Tenure(st.Holder.Token); tenure != r.m.seen(want[0], name, tenure) {
			t.Fatalf("%s: tenure %d, seen before: %d", name, tenure, r.m.last[name])
		}
		if st.Holder.Owner != want[0].owner ||
			st.Holder.Remaining != want[0].deadline.Sub(r.m.now) || len(st.Waiters) != len(want)-1 {
			t.Fatalf("%s: %+v, want the holder %+v and %d waiters", name, st, want[0], len(want)-1)
		}
		for i, w := range st.Waiters {
			if w.Owner != want[i+1].owner {
				t.Fatalf("%s: waiter %d is %+v, want %+v", name, i, w, want[i+1])
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
