package memlock

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// bubble runs a test with fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

const ttl = 10 * time.Second

// A peer is a client without the engine: requests are sent one by one, and
// what is pushed is written down.
type peer struct {
	*backend
	t    *testing.T
	name string

	mu     sync.Mutex
	pushed []string
}

func newPeer(t *testing.T, s *Server, name string) *peer {
	p := &peer{backend: s.dial(name), t: t, name: name}
	p.Push(p)
	return p
}

func (p *peer) Granted(id string, tenure uint64) { p.note("granted %s %d", id, tenure) }
func (p *peer) Gone(id string, reason locker.LostReason, _ error) {
	p.note("gone %s %s", id, reason)
}
func (p *peer) Ask(id string) { p.note("ask %s", id) }

func (p *peer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushed = append(p.pushed, fmt.Sprintf(format, args...))
}

// hears checks what was pushed since the last call, in order.
func (p *peer) hears(want ...string) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.pushed, want) {
		p.t.Errorf("client %s was told %q, want %q", p.name, p.pushed, want)
	}
	p.pushed = nil
}

func (p *peer) request(id, lock string) driver.Claim {
	return driver.Claim{ID: id, Name: lock, TTL: ttl, Client: p.name}
}

// claims sends a Claim and returns its answer.
func (p *peer) claims(c driver.Claim) driver.Answer {
	p.t.Helper()
	a, err := p.Claim(p.t.Context(), c)
	if err != nil {
		p.t.Fatalf("client %s: Claim(%s): %v", p.name, c.ID, err)
	}
	return a
}

// holds claims a name that must be free, and returns the tenure.
func (p *peer) holds(id, lock string) uint64 {
	p.t.Helper()
	a := p.claims(p.request(id, lock))
	if a.State != driver.Held || a.Tenure == 0 || a.TTL != ttl {
		p.t.Fatalf("client %s: Claim(%s) = %+v, want it held for %v", p.name, id, a, ttl)
	}
	return a.Tenure
}

// waits claims a name that must be taken.
func (p *peer) waits(id, lock string) driver.Answer {
	p.t.Helper()
	a := p.claims(p.request(id, lock))
	if a.State != driver.Queued || a.Tenure != 0 || a.TTL != ttl {
		p.t.Fatalf("client %s: Claim(%s) = %+v, want it queued for %v", p.name, id, a, ttl)
	}
	return a
}

// renews sends a Renew of one claim, which must end in this state.
func (p *peer) renews(id, lock string, want driver.State) driver.Answer {
	p.t.Helper()
	answers, err := p.Renew(p.t.Context(), []driver.Ref{{ID: id, Name: lock, TTL: ttl}})
	if err != nil || len(answers) != 1 {
		p.t.Fatalf("client %s: Renew(%s) = %v, %v", p.name, id, answers, err)
	}
	if answers[0].State != want {
		p.t.Errorf("client %s: Renew(%s) says %v, want %v", p.name, id, answers[0].State, want)
	}
	return answers[0]
}

func (p *peer) releases(id, lock string, uncertain bool) (found bool) {
	p.t.Helper()
	found, err := p.Release(p.t.Context(), undo(id, lock, uncertain))
	if err != nil {
		p.t.Fatalf("client %s: Release(%s): %v", p.name, id, err)
	}
	return found
}

func undo(id, lock string, uncertain bool) driver.Release {
	return driver.Release{Ref: driver.Ref{ID: id, Name: lock, TTL: ttl}, Uncertain: uncertain}
}

// leaves closes a client that has nothing left.
func (p *peer) leaves() {
	p.t.Helper()
	if err := p.Close(context.Background()); err != nil {
		p.t.Errorf("client %s: Close: %v", p.name, err)
	}
}

// empty checks that the server keeps nothing, seen and unseen.
func empty(t *testing.T, s *Server) {
	t.Helper()
	if left := s.Residue(); len(left) != 0 {
		t.Errorf("the server still has %q", left)
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		if len(sh.queues) != 0 || len(sh.graves) != 0 || sh.timer != nil {
			t.Errorf("shard %d still has %d names, %d graves, timer %v", i, len(sh.queues), len(sh.graves), sh.timer != nil)
		}
		sh.unlock()
	}
}
