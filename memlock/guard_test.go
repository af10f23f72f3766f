package memlock

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker/driver"
)

func (p *peer) guard(id, lock string, tenure uint64) any {
	p.t.Helper()
	g, err := p.Guard(driver.Ref{ID: id, Name: lock, TTL: ttl, Tenure: tenure})
	if err != nil {
		p.t.Fatalf("Guard(%s): %v", id, err)
	}
	return g
}

func current(s *Server, guard any) (is bool) {
	s.Atomically(func(v View) { is = v.Current(guard) })
	return is
}

func TestAGuardIsCurrentWhileItsHoldIs(t *testing.T) {
	ends := map[string]func(a *peer, tenure uint64){
		"release": func(a *peer, _ uint64) { a.releases("a1", "n", false) },
		"expiry":  func(*peer, uint64) { time.Sleep(ttl) },
		"expiry with a late timer": func(a *peer, _ uint64) {
			sh := a.server.shard("n")
			sh.lock()
			sh.timer.Stop()
			sh.unlock()
			time.Sleep(ttl)
		},
		"eviction": func(a *peer, _ uint64) { _ = a.server.Evict("n") },
		"break":    func(a *peer, tenure uint64) { _ = a.Break(a.t.Context(), "n", tenure) },
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := NewServer()
				a := newPeer(t, s, "a")
				tenure := a.holds("a1", "n")
				g := a.guard("a1", "n", tenure)
				if g.(Guard).Server() != s || g.(Guard).Name() != "n" {
					t.Errorf("the guard is of %v", g)
				}
				time.Sleep(ttl - 1)
				a.renews("a1", "n", driver.Held)
				if !current(s, g) {
					t.Error("not current while held")
				}
				end(a, tenure)
				if current(s, g) {
					t.Error("current after the end")
				}
				// The same claim may come back, as a hold of its own.
				again := a.holds("a1", "n")
				if current(s, g) {
					t.Error("current again, in the next hold of the same claim")
				}
				if !current(s, a.guard("a1", "n", again)) {
					t.Error("the next hold is not current")
				}
			})
		})
	}
}

func TestGuardsOfOthersAreNotCurrent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, other := NewServer(), NewServer()
		a, b := newPeer(t, s, "a"), newPeer(t, other, "b")
		tenure := a.holds("a1", "n")
		b.holds("a1", "n")
		for what, g := range map[string]any{
			"nothing":              nil,
			"the zero Guard":       Guard{},
			"another type":         "a1",
			"another server":       b.guard("a1", "n", tenure),
			"another name":         a.guard("a1", "m", tenure),
			"another claim":        a.guard("a2", "n", tenure),
			"another tenure":       a.guard("a1", "n", tenure+1),
			"a pointer to a guard": &Guard{},
		} {
			if current(s, g) {
				t.Errorf("%s is current", what)
			}
		}
		if g, err := a.Guard(driver.Ref{ID: "a1", Name: "n"}); err == nil {
			t.Errorf("a claim that waits has the guard %v", g)
		}
	})
}

// A hold that was found current stays so until Atomically ends: a release, and
// with it the grant to the next one, waits.
func TestAHoldCannotEndWhileItIsLookedAt(t *testing.T) {
	s := NewServer()
	type key struct{}
	const names = 8 // in several shards, taken in different orders
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			p := newPeer(t, s, fmt.Sprint(i))
			for round := range 200 {
				id := fmt.Sprint(i, "-", round)
				one, two := fmt.Sprint("n", (i+round)%names), fmt.Sprint("n", (i*3+round)%names)
				a, b := p.claims(p.request(id+"a", one)), p.claims(p.request(id+"b", two))
				s.Atomically(func(v View) {
					g1, _ := p.Guard(driver.Ref{ID: id + "a", Name: one, Tenure: max(a.Tenure, 1)})
					g2, _ := p.Guard(driver.Ref{ID: id + "b", Name: two, Tenure: max(b.Tenure, 1)})
					first := v.Current(g1)
					v.Current(g2)
					n, _ := v.Values()[key{}].(int)
					v.Values()[key{}] = n + 1
					if v.Current(g1) != first {
						t.Error("a hold came or went in the middle of Atomically")
					}
				})
				p.releases(id+"a", one, false)
				p.releases(id+"b", two, false)
			}
			p.leaves()
		})
	}
	wg.Wait()
	s.Atomically(func(v View) {
		if n := v.Values()[key{}]; n != 4*200 {
			t.Errorf("%v updates of the bag, want %d", n, 4*200)
		}
	})
	empty(t, s)
}

func TestALookedAtHoldIsLockedToTheEnd(t *testing.T) {
	s := NewServer()
	a := newPeer(t, s, "a")
	g := a.guard("a1", "n", a.holds("a1", "n"))
	s.Atomically(func(v View) {
		for range 2 { // the second look finds the name locked by the first
			if !v.Current(g) {
				t.Error("not current")
			}
		}
		if sh := s.shard("n"); sh.mu.TryLock() {
			sh.mu.Unlock()
			t.Error("a release could come between the look and the end")
		}
	})
	a.releases("a1", "n", false)
	a.leaves()
}

func TestAtomicallySurvivesAPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer()
		a := newPeer(t, s, "a")
		g := a.guard("a1", "n", a.holds("a1", "n"))
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			s.Atomically(func(v View) {
				v.Current(g)
				panic("x")
			})
		}()
		if !current(s, g) {
			t.Error("the hold is gone")
		}
		a.releases("a1", "n", false)
		synctest.Wait()
	})
}
