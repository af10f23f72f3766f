package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A link is one connection of the client and the one to the server behind it.
type link struct {
	p    *Proxy
	dead chan struct{} // closed by reset
	once sync.Once

	mu     sync.Mutex // guards what follows, and the parsing of both directions
	client net.Conn
	server net.Conn // nil until dialled
	wire   wire
	doomed map[uint64]bool // requests whose answers are to be lost
	up     *pump           // nil until dialled
	down   *pump
}

func newLink(p *Proxy, client net.Conn) *link {
	return &link{p: p, client: client, dead: make(chan struct{}), wire: newWire(p.protocol, p.onReply)}
}

// A chunk is what one read brought.
type chunk struct {
	data []byte
	due  time.Time
	late bool  // it had to wait for the client to read on
	err  error // the end of the stream: io.EOF, or what broke it
}

// A pump forwards one direction of a link.
type pump struct {
	l        *link
	dir      Direction
	src, dst net.Conn

	// mu is held from the decision on a chunk to the end of its writing, so
	// that interrupt, which takes it after the fault was set, returns when no
	// write that was decided on before is under way any more.
	mu   sync.Mutex
	torn bool // something was dropped: nothing may follow on this stream
}

func (l *link) run() {
	defer l.p.forget(l)
	defer l.reset()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-l.dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	server, err := l.p.dial(ctx)
	if errors.Is(err, errCut) {
		l.swallow()
		return
	}
	if err != nil {
		return // the client sees a reset: the server is not there
	}
	l.mu.Lock()
	l.server = server
	l.up = &pump{l: l, dir: Up, src: l.client, dst: server}
	l.down = &pump{l: l, dir: Down, src: server, dst: l.client}
	up, down := l.up, l.down
	l.mu.Unlock()
	select {
	case <-l.dead: // reset ran before it could see the server's connection
		_ = server.Close()
		return
	default:
	}

	var both sync.WaitGroup
	for _, p := range []*pump{up, down} {
		chunks := make(chan chunk, 64)
		both.Go(func() { p.read(chunks) })
		both.Go(func() { p.write(chunks) })
	}
	both.Wait()
	if up.isTorn() || down.isTorn() {
		// An end that a cut keeps back is not told before Heal.
		<-l.dead
	}
}

// swallow reads and drops what the client sends on a connection that leads
// nowhere. A client that gives up ends it.
func (l *link) swallow() {
	buf := make([]byte, 4096)
	for {
		n, err := l.client.Read(buf)
		l.p.dropped.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// reset ends both connections without a goodbye.
func (l *link) reset() {
	l.once.Do(func() { close(l.dead) })
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // may be closed already
			_ = tcp.Close()
		}
	}
}

// heal resets the link if it lost anything, or never came about.
func (l *link) heal() {
	l.mu.Lock()
	up, down := l.up, l.down
	l.mu.Unlock()
	if up == nil {
		l.reset()
		return
	}
	for _, p := range []*pump{up, down} {
		if p.isTorn() {
			l.reset()
			return
		}
		_ = p.dst.SetWriteDeadline(time.Time{}) // fails on a closed one only
	}
}

func (l *link) pumps(d Direction) []*pump {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ps []*pump
	if d&Up != 0 && l.up != nil {
		ps = append(ps, l.up)
	}
	if d&Down != 0 && l.down != nil {
		ps = append(ps, l.down)
	}
	return ps
}

func (l *link) serverOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.dead:
		return false
	default:
		return l.server != nil
	}
}

// sent tells the wire what is about to go up, and marks requests to be lost.
func (l *link) sent(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.wire.sent(b) {
		l.p.requests.Add(1)
		if r.droppable && l.p.drop.take() {
			if l.doomed == nil {
				l.doomed = make(map[uint64]bool)
			}
			l.doomed[r.key] = true
		}
	}
}

// received tells the wire what came from the server, and reports whether it
// belongs to an answer that is to be lost.
func (l *link) received(b []byte) (lose bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wire.received(b, l.doomed)
}

// interrupt returns when no byte is being written any more; the fault that
// keeps further ones back was set before. A write that the receiver holds up is
// aborted: the deadline stays until heal lifts it.
func (p *pump) interrupt() {
	_ = p.dst.SetWriteDeadline(time.Unix(1, 0)) // fails on a closed one only
	p.mu.Lock()
	defer p.mu.Unlock()
}

func (p *pump) isTorn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.torn
}

func (p *pump) read(to chan<- chunk) {
	for {
		late, alive := p.await()
		if !alive {
			return
		}
		buf := make([]byte, 32<<10)
		n, err := p.src.Read(buf)
		c := chunk{data: buf[:n], err: err, late: late, due: time.Now().Add(p.l.p.delayOf(p.dir))}
		select {
		case to <- c:
		case <-p.l.dead:
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *pump) write(from <-chan chunk) {
	for {
		var c chunk
		select {
		case c = <-from:
		case <-p.l.dead:
			return
		}
		if wait := time.Until(c.due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-p.l.dead:
				return
			}
		}
		late, alive := p.await()
		if !alive {
			return
		}
		if late || c.late {
			p.l.p.late.Add(int64(len(c.data)))
		}
		if !p.deliver(c) || c.err != nil {
			return
		}
	}
}

// deliver passes one chunk on, or drops it. It returns false when the link is
// over.
func (p *pump) deliver(c chunk) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The wire sees everything that the server says, also what a cut drops:
	// OnReply tells of answers that never arrive.
	lose := p.dir == Down && p.l.received(c.data)
	if p.torn || p.l.p.isCut(p.dir) {
		p.torn = true
		p.l.p.dropped.Add(int64(len(c.data)))
		return true
	}
	if lose {
		p.l.p.lost.Add(1)
		p.l.reset()
		return false
	}
	if p.dir == Up {
		p.l.sent(c.data)
	}
	n, err := p.dst.Write(c.data)
	p.count(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.torn = true // interrupted by a cut, perhaps half way
		p.l.p.dropped.Add(int64(len(c.data) - n))
		return true
	case err != nil:
		p.l.reset()
		return false
	case c.err == nil:
		return true
	case errors.Is(c.err, io.EOF):
		if tcp, ok := p.dst.(*net.TCPConn); ok {
			_ = tcp.CloseWrite() // the other end may be gone: then its read ends too
		}
		return false
	}
	p.l.reset()
	return false
}

func (p *pump) count(n int) {
	if p.dir == Up {
		p.l.p.bytesUp.Add(int64(n))
	} else {
		p.l.p.bytesDown.Add(int64(n))
	}
}
