package memlock

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// shards is how many parts the names are spread over, so that goroutines that
// use different names seldom meet.
const shards = 64

// A Server is an in-memory lock server to which any number of clients connect
// with Open. It is safe for concurrent use. It has no goroutine and nothing to
// close; a server that nobody refers to is garbage.
//
// Under testing/synctest a Server follows the clock of the bubble in which it
// is used. Use it in one bubble at a time: its timers belong to the bubble, and
// only go when its last client is closed and its last hold has ended.
type Server struct {
	seed   maphash.Seed
	shards [shards]shard

	tenures  atomic.Uint64 // the greatest tenure given out
	requests atomic.Int64

	clients struct {
		mu   sync.Mutex // guards open; taken before no other mutex
		open map[*link]struct{}
	}
	values struct {
		mu  sync.Mutex // held by Atomically
		bag map[any]any
	}
}

// NewServer makes an empty server.
func NewServer() *Server {
	s := &Server{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].server = s
		s.shards[i].queues = make(map[string]*queue)
	}
	s.clients.open = make(map[*link]struct{})
	s.values.bag = make(map[any]any)
	return s
}

// Open connects a client. It takes the OpenOptions of package locker; its only
// error is ErrInvalid.
func (s *Server) Open(opts ...locker.OpenOption) (*Client, error) {
	cfg, err := locker.ResolveOpen(opts...)
	if err != nil {
		return nil, err
	}
	// The server lives in this process, so Go's clock, which stands still while
	// the machine is suspended, stands still for the leases too.
	clock := driver.TakeClock(&cfg, driver.GoClock())
	if err := cfg.Unused(); err != nil {
		return nil, err
	}
	b := s.dial(cfg.Identity)
	return &Client{Locker: driver.New(cfg, b, clock), server: s, link: b.link}, nil
}

// Evict removes the hold of name as if its data had been lost: the holder is
// told (with the reason LostEvicted), and the next waiter gets the name. It is
// ErrNotHeld if nobody holds name. It is not a request of any client.
func (s *Server) Evict(name string) error {
	if err := locker.CheckName(name); err != nil {
		return err
	}
	return s.end(name, 0, locker.LostEvicted)
}

// Requests returns how many requests its clients have sent, those included that
// did not arrive. A renewal of many holds is one request.
func (s *Server) Requests() int64 { return s.requests.Load() }

// Residue lists what the server keeps, one line each and sorted: connections of
// clients that are open, claims that hold or wait, and the tombstones of
// requests that were undone while they were on their way. What stays of a name
// that nobody uses is nothing: one counter gives the tenures of all names.
func (s *Server) Residue() []string {
	var lines []string
	s.clients.mu.Lock()
	for l := range s.clients.open {
		lines = append(lines, fmt.Sprintf("client %q", l.identity))
	}
	s.clients.mu.Unlock()

	now := time.Now()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		for _, q := range sh.queues {
			sh.prune(q, now)
		}
		for _, q := range sh.queues {
			lines = append(lines, fmt.Sprintf("holder of %q: %s of client %q", q.name, q.holder.ID, q.holder.Client))
			for c := q.first; c != nil; c = c.next {
				lines = append(lines, fmt.Sprintf("waiter for %q: %s of client %q", q.name, c.ID, c.Client))
			}
		}
		for id, g := range sh.graves {
			if g.barred && now.Before(g.until) {
				lines = append(lines, "tombstone: "+id)
			}
		}
		sh.unlock()
	}
	slices.SortFunc(lines, strings.Compare)
	return lines
}

func (s *Server) shard(name string) *shard {
	return &s.shards[maphash.String(s.seed, name)%shards]
}

// mint makes the tenure of a grant. One counter for all names costs a few bytes
// however many names there were, and a name that comes back after everything
// about it was forgotten still gets a greater tenure. At a million grants per
// second it reaches driver.MaxTenure after four years.
func (s *Server) mint() uint64 { return s.tenures.Add(1) }

// dial connects one more client.
func (s *Server) dial(identity string) *backend {
	l := &link{server: s, identity: identity, gone: make(chan struct{})}
	l.conn.broken = make(chan struct{})
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	s.clients.open[l] = struct{}{}
	return &backend{server: s, link: l}
}

// disconnect forgets l and what is kept for it alone. Its claims stay until
// their leases end, as those of a crashed client do: a client that closes in
// good order has released them before.
func (s *Server) disconnect(l *link) {
	s.clients.mu.Lock()
	delete(s.clients.open, l)
	last := len(s.clients.open) == 0
	s.clients.mu.Unlock()
	for i := range s.shards {
		s.shards[i].forget(l)
		if last {
			s.shards[i].rest()
		}
	}
}
