package history_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

// Whatever a few clients do one after the other, a Locker does what a model of
// a few lines says. Unlike a storm, in which calls overlap and only properties
// can be judged, every answer is known beforehand; what fails is shortened to
// the steps that matter.
func TestLockerFollowsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			m := newMachine(rt)
			defer m.close()
			rt.Repeat(map[string]func(*rapid.T){
				"try": m.try, "release": m.release, "wait": m.wait, "cut": m.cut,
				"heal": m.heal, "evict": m.evict, "break": m.breakHold, "": m.check,
			})
		})
	})
}

const ttl = 10 * time.Second

// A machine is the model beside what it models.
type machine struct {
	server  *memlock.Server
	clients []*memlock.Client
	cuts    []bool
	levels  []*level
	holder  map[string]*tenure
	token   map[string]uint64 // the last of each name
}

// A tenure is what the model knows of a hold.
type tenure struct {
	client int
	owner  string
	token  uint64
	depth  int
	lost   bool
}

// A level is one lock that was handed out.
type level struct {
	locker.Lock
	of       *tenure
	released bool
}

func newMachine(rt *rapid.T) *machine {
	m := &machine{server: memlock.NewServer(), holder: make(map[string]*tenure), token: make(map[string]uint64)}
	for range 3 {
		c, err := m.server.Open()
		if err != nil {
			rt.Fatal(err)
		}
		m.clients, m.cuts = append(m.clients, c), append(m.cuts, false)
	}
	return m
}

func (m *machine) close() {
	for _, c := range m.clients {
		c.Heal()
		_ = c.Close()
	}
}

func (m *machine) name(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name")
}

func (m *machine) client(rt *rapid.T, cut bool) int {
	var fit []int
	for i, c := range m.cuts {
		if c == cut {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		rt.Skip("no such client")
	}
	return rapid.SampledFrom(fit).Draw(rt, "client")
}

func (m *machine) try(rt *rapid.T) {
	i, name := m.client(rt, false), m.name(rt)
	owner := rapid.SampledFrom([]string{"", "anna", "bob"}).Draw(rt, "owner")
	opts := []locker.Option{locker.WithTTL(ttl)}
	if owner != "" {
		opts = append(opts, locker.WithReentry(owner))
	}
	// Half of them wait, but not for longer than it takes to be told no.
	call, how := m.clients[i].TryAcquire, "TryAcquire"
	if rapid.Bool().Draw(rt, "waits") {
		call, how = m.clients[i].Acquire, "Acquire"
		opts = append(opts, locker.WithMaxWait(0))
	}
	lock, err := call(context.Background(), name, opts...)
	now := m.holder[name]
	reenters := now != nil && owner != "" && now.client == i && now.owner == owner
	if now != nil && !reenters {
		if lock != nil || !errors.Is(err, locker.ErrHeld) {
			rt.Fatalf("%s of %q, which client %d holds, by client %d: %v, %v", how, name, now.client, i, lock, err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("%s of %q by client %d (re-enters: %t): %v", how, name, i, reenters, err)
	}
	if reenters {
		if now.depth++; lock.Token() != now.token {
			rt.Fatalf("re-entering changed the token from %d to %d", now.token, lock.Token())
		}
	} else {
		now = &tenure{client: i, owner: owner, token: lock.Token(), depth: 1}
		if m.holder[name] = now; now.token <= m.token[name] {
			rt.Fatalf("token %d after %d", now.token, m.token[name])
		}
		m.token[name] = now.token
	}
	if lock.Name() != name || lock.Owner() != owner || lock.TTL() != ttl {
		rt.Fatalf("asked for %q, owner %q, got %q, owner %q, TTL %v", name, owner, lock.Name(), lock.Owner(), lock.TTL())
	}
	m.levels = append(m.levels, &level{Lock: lock, of: now})
}

func (m *machine) release(rt *rapid.T) {
	if len(m.levels) == 0 {
		rt.Skip("nothing to release")
	}
	l := rapid.SampledFrom(m.levels).Draw(rt, "level")
	var want error
	switch {
	case l.released:
		want = locker.ErrReleased
	case l.of.lost:
		want = locker.ErrLost
	case m.cuts[l.of.client]:
		rt.Skip("its server cannot be asked")
	}
	if err := l.Release(context.Background()); !errors.Is(err, want) {
		rt.Fatalf("Release of token %d: %v, want %v", l.Token(), err, want)
	}
	if want != nil {
		return
	}
	l.released = true
	if l.of.depth--; l.of.depth == 0 {
		delete(m.holder, l.Name())
	}
}

// wait lets time pass. Whoever is cut off for a whole lease has lost what it
// held by then.
func (m *machine) wait(rt *rapid.T) {
	if rapid.Bool().Draw(rt, "a whole lease") {
		time.Sleep(ttl + ttl/10)
		for name, now := range m.holder {
			if m.cuts[now.client] {
				m.lose(name)
			}
		}
		return
	}
	// Not so long that a lease could run out, and any number of times, as
	// long as nobody is cut off.
	if !slices.Contains(m.cuts, true) {
		time.Sleep(time.Duration(rapid.IntRange(1, int(ttl)).Draw(rt, "for")))
	}
}

func (m *machine) lose(name string) {
	m.holder[name].lost = true
	delete(m.holder, name)
}

func (m *machine) cut(rt *rapid.T) {
	i := m.client(rt, false)
	m.clients[i].Cut(rapid.SampledFrom([]memlock.Direction{memlock.Up, memlock.Down, memlock.Both}).Draw(rt, "way"))
	m.cuts[i] = true
}

// heal gives the client time to renew what it still has.
func (m *machine) heal(rt *rapid.T) {
	i := m.client(rt, true)
	m.clients[i].Heal()
	m.cuts[i] = false
	if !slices.Contains(m.cuts, true) {
		time.Sleep(ttl / 2)
	}
}

func (m *machine) evict(rt *rapid.T) {
	name := m.name(rt)
	err := m.server.Evict(name)
	m.removed(rt, "Evict", name, err)
}

func (m *machine) breakHold(rt *rapid.T) {
	i, name := m.client(rt, false), m.name(rt)
	token := m.token[name] + uint64(rapid.IntRange(0, 1).Draw(rt, "wrong"))<<20
	err := locker.Break(context.Background(), m.clients[i], name, token)
	if token != m.token[name] {
		if !errors.Is(err, locker.ErrNotHeld) {
			rt.Fatalf("Break of %q with a wrong token: %v", name, err)
		}
		return
	}
	m.removed(rt, "Break", name, err)
}

// removed judges what a removal said. The client that had the name is told
// within a lease, however its link is; so is the model.
func (m *machine) removed(rt *rapid.T, how, name string, err error) {
	now := m.holder[name]
	if now == nil {
		if !errors.Is(err, locker.ErrNotHeld) {
			rt.Fatalf("%s of %q, which is free: %v", how, name, err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("%s of %q: %v", how, name, err)
	}
	time.Sleep(ttl + ttl/10)
	m.lose(name)
	for other, t := range m.holder { // that time passed for the others too
		if m.cuts[t.client] {
			m.lose(other)
		}
	}
}

// check compares everything that can be seen with the model.
func (m *machine) check(rt *rapid.T) {
	synctest.Wait()
	for _, l := range m.levels {
		var want error
		switch {
		case l.released:
			want = locker.ErrReleased
		case l.of.lost:
			want = locker.ErrLost
		}
		closed := false
		select {
		case <-l.Done():
			closed = true
		default:
		}
		if err := l.Err(); !errors.Is(err, want) || closed != (err != nil) {
			rt.Fatalf("token %d of %q: Err is %v, want %v; Done is closed: %t", l.Token(), l.Name(), err, want, closed)
		}
	}
	i := slices.Index(m.cuts, false)
	if i < 0 {
		return
	}
	for _, name := range []string{"a", "b"} {
		seen, want := "free", "free"
		if now := m.holder[name]; now != nil {
			want = fmt.Sprintf("token %d, owner %q", now.token, now.owner)
		}
		status, err := locker.Inspect(context.Background(), m.clients[i], name)
		switch {
		case err == nil:
			seen = fmt.Sprintf("token %d, owner %q", status.Holder.Token, status.Holder.Owner)
		case !errors.Is(err, locker.ErrNotHeld):
			seen = err.Error()
		}
		if seen != want {
			rt.Fatalf("the server says of %q: %s, want %s", name, seen, want)
		}
	}
}
