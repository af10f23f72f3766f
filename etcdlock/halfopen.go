package etcdlock

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// A deadwatch finds connections that went dead without a sign: a firewall forgot
// them, or the host at the other end is gone. gRPC finds them by pings which it
// sends every 10 s at most, and a short lease is over by then.
//
// A server that says nothing may just be slow, and giving up its connection
// would make it slower. So a connection is convicted by comparison: one that
// was asked something, and has said nothing for a while, is closed if a fresh
// connection was answered in the meantime. gRPC then connects anew at once.
//
// A request may also take long by itself, on a disk that is slow to commit,
// while a read over a fresh connection is quick. To close a connection for that
// would lose each attempt in turn. So before the comparison every connection is
// nudged: asked something that needs neither disk nor leader, and which one that
// lives answers at once. A wrong conviction, after all that, costs a reconnection
// and the requests under way, which the engine takes for unanswered; it costs no
// hold.
type deadwatch struct {
	// probe asks over a fresh connection, and needs an answer.
	probe func(context.Context) error
	// nudge asks over the connections that there are, and need not get an answer.
	nudge  func(context.Context)
	began  time.Time
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	armed  atomic.Bool // a look is planned

	mu     sync.Mutex // guards conns and closed
	conns  map[*watchedConn]struct{}
	closed bool
}

const (
	// bearable is how long a connection that was asked may say nothing before a
	// fresh one is tried.
	bearable = 500 * time.Millisecond
	// probeBound is how long an answer over the fresh one is waited for.
	probeBound = 2 * time.Second
	// lastWord is how much longer the old one then has: a server that was
	// stopped answers both at once.
	lastWord = 100 * time.Millisecond
	// handshakeBound is how long TLS may take, which is not watched.
	handshakeBound = 4 * time.Second
)

func newDeadwatch(probe func(context.Context) error, nudge func(context.Context)) *deadwatch {
	w := &deadwatch{probe: probe, nudge: nudge, began: time.Now(), conns: make(map[*watchedConn]struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *deadwatch) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.wg.Wait()
}

// now never is 0, which stands for "never".
func (w *deadwatch) now() time.Duration { return time.Since(w.began) + 1 }

// A watchedConn notes when it was asked and when it answered.
type watchedConn struct {
	net.Conn
	w     *deadwatch
	sent  frames       // for the one goroutine that writes
	asked atomic.Int64 // the first request that nothing was read after; 0: none
	heard atomic.Int64 // the last read, or the beginning
}

func (w *deadwatch) watch(c net.Conn) net.Conn {
	wc := &watchedConn{Conn: c, w: w}
	wc.heard.Store(int64(w.now()))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[wc] = struct{}{}
	return wc
}

func (c *watchedConn) Write(b []byte) (int, error) {
	if c.sent.ask(b) && c.asked.Load() == 0 && c.asked.CompareAndSwap(0, int64(c.w.now())) {
		c.w.arm(bearable)
	}
	return c.Conn.Write(b)
}

// Read may take the answer to an earlier write for one to a write beside it,
// which is then missed until the next one: a renewal is never far.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(int64(c.w.now()))
		c.asked.Store(0)
	}
	return n, err
}

func (c *watchedConn) Close() error {
	c.w.mu.Lock()
	delete(c.w.conns, c)
	c.w.mu.Unlock()
	return c.Conn.Close()
}

// arm plans a look, if none is planned.
func (w *deadwatch) arm(in time.Duration) {
	if w.armed.CompareAndSwap(false, true) {
		time.AfterFunc(in, w.look)
	}
}

// look tries a fresh connection if one has been silent for too long, and plans
// the next look if there is anything to look for.
func (w *deadwatch) look() {
	w.armed.Store(false) // before the first conn is looked at: whoever writes later arms again
	oldest := time.Duration(0)
	w.mu.Lock()
	for c := range w.conns {
		if asked := time.Duration(c.asked.Load()); asked != 0 && (oldest == 0 || asked < oldest) {
			oldest = asked
		}
	}
	silent := oldest != 0 && w.now()-oldest >= bearable
	if silent && !w.closed {
		w.wg.Go(w.compare)
	}
	over := w.closed
	w.mu.Unlock()
	if oldest != 0 && !silent && !over {
		w.arm(bearable - (w.now() - oldest))
	}
}

// compare nudges the old connections, tries a fresh one, and closes those that
// said nothing meanwhile.
func (w *deadwatch) compare() {
	from := w.now()
	ctx, cancel := context.WithTimeout(w.ctx, probeBound)
	defer cancel()
	w.wg.Go(func() { w.nudge(ctx) })
	if err := w.probe(ctx); err == nil {
		lasts := time.NewTimer(lastWord)
		defer lasts.Stop()
		select {
		case <-lasts.C:
			w.convict(from)
		case <-w.ctx.Done():
			return
		}
	}
	w.arm(bearable / 2) // for those that are silent still
}

// convict closes what was asked well before from, and has said nothing since.
// What was not asked, and has said nothing since then either, goes with it:
// whatever took the one is likely to have taken the other, and nobody would
// find out before the next ping.
func (w *deadwatch) convict(from time.Duration) {
	var dead []*watchedConn
	since := time.Duration(0)
	w.mu.Lock()
	for c := range w.conns {
		asked := time.Duration(c.asked.Load())
		if asked != 0 && asked+bearable <= from && (since == 0 || asked > since) {
			since = asked
		}
	}
	for c := range w.conns {
		if since != 0 && time.Duration(c.heard.Load()) <= since {
			dead = append(dead, c)
		}
	}
	w.mu.Unlock()
	for _, c := range dead {
		_ = c.Close() // it is given up anyway
	}
}

// watchedCredentials watch every connection that gRPC makes. As credentials,
// and not as a dialer, because a dialer of one's own would lose what gRPC does
// for its own: proxies of the environment, and the kernel's timeout for data
// that nobody confirms.
type watchedCredentials struct {
	credentials.TransportCredentials
	w *deadwatch
}

// ClientHandshake has what is said after it watched, in the clear.
func (c watchedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeBound)
	defer cancel()
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	return c.w.watch(conn), info, nil
}

// Clone keeps watching.
func (c watchedCredentials) Clone() credentials.TransportCredentials {
	return watchedCredentials{c.TransportCredentials.Clone(), c.w}
}
