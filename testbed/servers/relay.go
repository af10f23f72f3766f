package servers

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
)

// A relay stands between the members of a cluster, and can cut one of them off
// from the others while clients still reach it. Each member announces the
// relay's port for it as its own; who connects to that is found out by asking
// the system which process has the other end.
type relay struct {
	ports   []net.Listener // one for each member
	targets []string       // where each member listens for others
	owner   func(port int) (member int)
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	isolated map[int]bool
	conns    map[*relayed]struct{}
	closed   bool
}

// A relayed connection goes from member to member.
type relayed struct {
	from, to int
	ends     [2]net.Conn
	torn     bool // something was dropped: nothing may follow
}

// newRelay listens for n members. owner tells which member has the connection
// with this local port, -1 if none has.
func newRelay(n int, owner func(port int) int) (_ *relay, err error) {
	r := &relay{owner: owner, targets: make([]string, n), isolated: make(map[int]bool), conns: make(map[*relayed]struct{})}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		r.ports = append(r.ports, ln)
	}
	return r, nil
}

func (r *relay) start() {
	for to, ln := range r.ports {
		r.running.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				r.running.Go(func() { r.serve(conn, to) })
			}
		})
	}
}

func (r *relay) serve(conn net.Conn, to int) {
	c := &relayed{from: r.owner(conn.RemoteAddr().(*net.TCPAddr).Port), to: to}
	c.ends[0] = conn
	defer r.end(c)
	if !r.add(c) {
		return
	}
	server, err := net.Dial("tcp", r.targets[to])
	if err != nil {
		return // the member is down, and the other one sees a reset
	}
	r.mu.Lock()
	c.ends[1] = server
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { r.forward(c, conn, server) })
	both.Go(func() { r.forward(c, server, conn) })
	both.Wait()
}

// forward drops what a member that is cut off sends or is sent; the connection
// stays open, as in a network that loses packets.
func (r *relay) forward(c *relayed, src, dst net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		r.mu.Lock()
		c.torn = c.torn || r.isolated[c.from] || r.isolated[c.to]
		torn := c.torn
		r.mu.Unlock()
		if torn && err == nil {
			continue
		}
		if !torn && n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			if !torn && errors.Is(err, io.EOF) {
				_ = dst.(*net.TCPConn).CloseWrite() // its other half may go on
				return
			}
			r.end(c)
			return
		}
	}
}

func (r *relay) add(c *relayed) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.conns[c] = struct{}{}
	}
	return !r.closed
}

func (r *relay) end(c *relayed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	c.close()
}

// close is called with mu of the relay held.
func (c *relayed) close() {
	for _, end := range c.ends {
		if end != nil {
			_ = end.Close() // perhaps again
		}
	}
}

func (r *relay) isolate(member int, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isolated[member] = yes
	for c := range r.conns {
		// Going on in the middle of a stream is not what a network does.
		if !yes && (c.from == member || c.to == member) {
			c.close()
		}
	}
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		c.close()
	}
	r.mu.Unlock()
	for _, ln := range r.ports {
		_ = ln.Close() // nothing is lost
	}
	r.running.Wait()
}

func (r *relay) urlOf(member int) string {
	return "http://127.0.0.1:" + strconv.Itoa(r.ports[member].Addr().(*net.TCPAddr).Port)
}
