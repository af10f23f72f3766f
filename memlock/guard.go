package memlock

import (
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/lockerlib/locker/txn/memtxn"
)

// A Guard stands for one hold on one Server. It is what driver.Guarded gives
// for a lock of this backend, and what View.Current judges. Guards are
// comparable and stay valid as values after their hold has ended.
type Guard struct {
	server *Server
	name   string
	id     string
	tenure uint64
}

// Server returns the server that the hold is on.
func (g Guard) Server() *Server { return g.server }

// Name returns the name that is held.
func (g Guard) Name() string { return g.name }

// String shows the hold to people.
func (g Guard) String() string {
	return fmt.Sprintf("%q token %d", g.name, driver.Token(g.tenure))
}

// A View is the server as one call of Atomically sees it.
type View = memtxn.View

var _ memtxn.Server = (*Server)(nil)

// CheckGuard returns an error that says why, unless guard is a Guard of a hold
// on this server, current or not.
func (s *Server) CheckGuard(guard any) error {
	switch g, ok := guard.(Guard); {
	case !ok:
		return fmt.Errorf("%w: memlock: %T is the guard of another backend", locker.ErrInvalid, guard)
	case g.server != s:
		return fmt.Errorf("%w: memlock: %v is held on another server", locker.ErrInvalid, g)
	}
	return nil
}

// Atomically calls fn once, in the caller's goroutine, while nothing else can
// change what its View shows. It is the hook for stores whose transactions are
// guarded by locks of this server.
//
// Calls are serialised. fn must be quick, must not block, and must not use the
// server or its clients: it would wait for itself. A panic of fn goes on, and
// leaves the server usable.
func (s *Server) Atomically(fn func(v View)) {
	v := &view{server: s}
	s.values.mu.Lock()
	defer s.values.mu.Unlock()
	defer v.close()
	fn(v)
}

// A view takes the mutex of a shard when a guard of it is first asked for, and
// keeps it to the end. Holding several cannot deadlock: only views hold more
// than one, and there is one view at a time, because values.mu is taken first
// and by nobody who has a shard.
type view struct {
	server *Server
	locked []*shard
}

func (v *view) Values() map[any]any { return v.server.values.bag }

func (v *view) Current(guard any) bool {
	g, ok := guard.(Guard)
	if !ok || g.server != v.server {
		return false
	}
	sh := v.server.shard(g.name)
	v.lock(sh)
	q := sh.queues[g.name]
	if q == nil || q.holder.ID != g.id || q.holder.tenure != g.tenure {
		return false
	}
	// Even if the lease ends now, nobody else is let in before unlock.
	return !q.holder.expired(time.Now())
}

func (v *view) lock(sh *shard) {
	for _, l := range v.locked {
		if l == sh {
			return
		}
	}
	sh.mu.Lock()
	v.locked = append(v.locked, sh)
}

func (v *view) close() {
	for _, sh := range v.locked {
		sh.unlock()
	}
	v.locked = nil
}

// Guard implements driver.Guarder.
func (b *backend) Guard(r driver.Ref) (any, error) {
	if r.Tenure == 0 {
		return nil, errors.New("memlock: a claim that waits guards nothing")
	}
	if err := locker.CheckName(r.Name); err != nil {
		return nil, err
	}
	return Guard{server: b.server, name: r.Name, id: r.ID, tenure: r.Tenure}, nil
}
