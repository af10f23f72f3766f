// Package proxy puts a TCP proxy in front of one client of a lock server, which
// cuts, delays, and loses what goes either way, as a bad network does.
//
// It knows enough of HTTP/2 and of Redis' protocol to count requests and to
// lose the answer to a given one. It does not decrypt TLS.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// A Direction says which half of the links is meant.
type Direction int

// The halves of a link.
const (
	Up   Direction = 1 << iota // client to server
	Down                       // server to client
	Both = Up | Down
)

// A Protocol tells the proxy how to tell requests and answers apart.
type Protocol int

// The protocols that the proxy reads along.
const (
	Opaque Protocol = iota // every write is a request, whatever comes next its answer
	HTTP2                  // gRPC without TLS, as etcd speaks it
	RESP                   // Redis, version 3 of the protocol
)

// Stats counts what went through a Proxy since it was made.
type Stats struct {
	Requests  int64 // that reached the server; without the handshake of Redis connections
	BytesUp   int64 // that reached the server
	BytesDown int64 // that reached the client
	Dropped   int64 // bytes that Cut and HalfOpen swallowed
	Lost      int64 // answers that DropReplies lost
	Late      int64 // bytes that Stall held back, and the client got later
	Open      int   // connections to the server that are open now
}

// A Proxy forwards the connections of one client to one server. Its methods are
// safe for concurrent use.
type Proxy struct {
	protocol Protocol
	onReply  func(path string, message []byte)
	ln       net.Listener
	running  sync.WaitGroup

	// faults serialises the calls that change what the network does, so that
	// a Heal never overtakes a Cut half way.
	faults sync.Mutex

	mu      sync.Mutex // guards what follows; taken after a pump's own mutex, never before
	target  string
	cut     Direction
	delay   [2]time.Duration
	severed bool
	stalled chan struct{} // while the client reads nothing; closed when it reads on
	links   map[*link]struct{}

	drop *budget

	requests, bytesUp, bytesDown, dropped, lost, late atomic.Int64
}

// An Option configures a Proxy.
type Option func(*Proxy)

// OnReply makes the proxy call f with the gRPC method and the encoded message
// of each answer to a unary call, also of answers that a fault keeps from the
// client. It needs HTTP2. f is called from the goroutine that forwards the
// answer and must return quickly.
func OnReply(f func(method string, message []byte)) Option {
	return func(p *Proxy) { p.onReply = f }
}

// Beside makes DropReplies count the requests through both proxies as one: for
// a client that spreads its requests over several members of a server.
func Beside(other *Proxy) Option { return func(p *Proxy) { p.drop = other.drop } }

// New listens on a free port of the loopback interface and forwards to target
// (host:port), which need not be reachable yet.
func New(target string, protocol Protocol, opts ...Option) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{target: target, protocol: protocol, ln: ln, links: make(map[*link]struct{}), drop: new(budget)}
	for _, o := range opts {
		o(p)
	}
	p.running.Go(func() {
		// Whoever counts the goroutines that a client of this proxy leaves,
		// by their labels, does not mean these.
		pprof.SetGoroutineLabels(context.Background())
		p.accept()
	})
	return p, nil
}

// Addr returns the host:port to which the client connects.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Stats returns what was counted so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	open := 0
	for l := range p.links {
		if l.serverOpen() {
			open++
		}
	}
	p.mu.Unlock()
	return Stats{
		Requests:  p.requests.Load(),
		BytesUp:   p.bytesUp.Load(),
		BytesDown: p.bytesDown.Load(),
		Dropped:   p.dropped.Load(),
		Lost:      p.lost.Load(),
		Late:      p.late.Load(),
		Open:      open,
	}
}

// Cut drops everything that goes in direction d, as a network that loses every
// packet does: connections stay open, and neither their data nor their end gets
// through. New connections are accepted and lead nowhere. When Cut has
// returned, nothing more arrives in that direction.
func (p *Proxy) Cut(d Direction) {
	p.faults.Lock()
	defer p.faults.Unlock()
	p.mu.Lock()
	p.cut |= d
	links := p.snapshot()
	p.mu.Unlock()
	for _, l := range links {
		for _, pump := range l.pumps(d) {
			pump.interrupt()
		}
	}
}

// Heal ends Cut, Delay and Stall, and forgets what DropReplies still had to do.
// What Stall held back arrives. A connection that lost something in between is
// reset at both ends: going on in the middle of a stream, or delivering late
// what was dropped, is not what a network does.
func (p *Proxy) Heal() {
	p.faults.Lock()
	defer p.faults.Unlock()
	p.mu.Lock()
	p.cut, p.delay = 0, [2]time.Duration{}
	p.drop.set(0)
	p.readOn()
	links := p.snapshot()
	p.mu.Unlock()
	for _, l := range links {
		l.heal()
	}
}

// Delay lets everything in that direction arrive d later. What was sent before
// the call is not affected, and what is on its way keeps its delay.
func (p *Proxy) Delay(dir Direction, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if dir&Up != 0 {
		p.delay[0] = max(d, 0)
	}
	if dir&Down != 0 {
		p.delay[1] = max(d, 0)
	}
}

// DropReplies lets the next n requests reach the server and waits for the
// answer of each; then it resets the connection instead of passing the answer
// on. On HTTP2 only unary calls count, not watches and keepalives, and other
// calls in flight on the same connection lose their answers as well. On RESP
// the handshake, PING and subscriptions do not count.
func (p *Proxy) DropReplies(n int) { p.drop.set(max(n, 0)) }

// Retarget makes the proxy lead to another server (host:port) from now on, as
// an address does that moves in a failover. Connections to the old one are
// reset.
func (p *Proxy) Retarget(target string) {
	p.faults.Lock()
	defer p.faults.Unlock()
	p.mu.Lock()
	p.target = target
	links := p.snapshot()
	p.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
}

// Sever does to the network what the death of the client's process does: all
// connections are reset at once, and so are later ones, for good.
//
// The port stays taken until Close: a client that tries again would otherwise
// reach the server through a proxy that was made since, and got the same port.
func (p *Proxy) Sever() {
	p.faults.Lock()
	defer p.faults.Unlock()
	p.mu.Lock()
	p.severed = true
	links := p.snapshot()
	p.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
}

// Close ends the proxy and all connections, and returns when its goroutines
// have ended.
func (p *Proxy) Close() error {
	p.Sever()
	err := p.ln.Close()
	p.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed twice
	}
	return err
}

func (p *Proxy) snapshot() []*link {
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

func (p *Proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, say. The client sees a refusal or a
			// timeout; the proxy goes on when there are some again.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		l := newLink(p, conn)
		p.mu.Lock()
		if p.severed {
			p.mu.Unlock()
			l.reset()
			continue
		}
		p.links[l] = struct{}{}
		p.mu.Unlock()
		p.running.Go(l.run)
	}
}

// dial connects a link to the server. On a link that is cut either way no
// connection comes about: one half of the handshake is lost.
func (p *Proxy) dial(ctx context.Context) (net.Conn, error) {
	p.mu.Lock()
	cut, target := p.cut, p.target
	p.mu.Unlock()
	if cut != 0 {
		return nil, errCut
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	return d.DialContext(ctx, "tcp", target)
}

var errCut = errors.New("proxy: the link is cut")

func (p *Proxy) isCut(d Direction) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut&d != 0
}

func (p *Proxy) delayOf(d Direction) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == Up {
		return p.delay[0]
	}
	return p.delay[1]
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}
