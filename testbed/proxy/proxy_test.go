package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echo answers every byte with itself, and reports connections that end.
func echo(t *testing.T) (addr string, ended <-chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	ends := make(chan error, 100)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, err := io.Copy(c, c)
				c.Close()
				ends <- err
			}()
		}
	}()
	return ln.Addr().String(), ends
}

func start(t *testing.T, target string, p Protocol) *Proxy {
	t.Helper()
	px, err := New(target, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { px.Close() })
	return px
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatalf("writing %q: %v", s, err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

// silent fails the test if anything arrives, an end included.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	var b [1]byte
	if n, err := c.Read(b[:]); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v, want silence", n, err)
	}
}

func wasReset(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read %d bytes, %v, want a reset", n, err)
	}
}

// until waits for what the proxy does by itself soon.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestForward(t *testing.T) {
	addr, ended := echo(t)
	p := start(t, addr, Opaque)
	c := dial(t, p)
	big := bytes.Repeat([]byte("0123456789"), 200_000)
	go c.Write(big)
	got := make([]byte, len(big))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, big) {
		t.Fatalf("2 MB did not come back: %v", err)
	}
	if s := p.Stats(); s.BytesUp != int64(len(big)) || s.BytesDown != int64(len(big)) || s.Open != 1 {
		t.Errorf("Stats() = %+v", s)
	}
	c.Close()
	if err := <-ended; err != nil {
		t.Errorf("the server saw %v, want a clean end", err)
	}
	until(t, "the link is forgotten", func() bool { return p.Stats().Open == 0 })
}

func TestCut(t *testing.T) {
	for _, d := range []Direction{Up, Down, Both} {
		addr, _ := echo(t)
		p := start(t, addr, Opaque)
		lossy, idle := dial(t, p), dial(t, p)
		for _, c := range []net.Conn{lossy, idle} {
			say(t, c, "a")
			hear(t, c, "a")
		}
		p.Cut(d)
		say(t, lossy, "lost")
		silent(t, lossy)
		during := dial(t, p) // connects, and leads nowhere
		say(t, during, "hello?")
		silent(t, during)
		until(t, "bytes are dropped", func() bool { return p.Stats().Dropped >= int64(len("lost")+len("hello?")) })

		p.Heal()
		wasReset(t, lossy) // and "lost" does not arrive late
		wasReset(t, during)
		say(t, idle, "b") // lost nothing, goes on
		hear(t, idle, "b")
		after := dial(t, p)
		say(t, after, "c")
		hear(t, after, "c")
	}
}

// While a link is cut, neither side learns that the other has gone.
func TestCutHidesTheEnd(t *testing.T) {
	addr, ended := echo(t)
	p := start(t, addr, Opaque)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	p.Cut(Both)
	c.Close()
	select {
	case err := <-ended:
		t.Errorf("the server learnt of the end: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	p.Heal()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Heal the server saw %v, want a reset", err)
	}
}

// A server that reads nothing fills the buffers; Cut returns all the same.
func TestCutWhileWritingIsHeldUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := start(t, ln.Addr().String(), Opaque)
	c := dial(t, p)
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go io.Copy(c, zeros{})
	stuck := int64(-1)
	until(t, "the buffers are full", func() bool {
		time.Sleep(50 * time.Millisecond)
		now := p.Stats().BytesUp
		defer func() { stuck = now }()
		return now > 0 && now == stuck
	})
	p.Cut(Up)
	sent := p.Stats().BytesUp
	go io.Copy(io.Discard, server)
	time.Sleep(50 * time.Millisecond)
	if now := p.Stats().BytesUp; now != sent {
		t.Errorf("%d bytes went up after Cut", now-sent)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestDelay(t *testing.T) {
	const d = 150 * time.Millisecond
	for _, dir := range []Direction{Up, Down} {
		addr, _ := echo(t)
		p := start(t, addr, Opaque)
		c := dial(t, p)
		p.Delay(dir, d)
		began := time.Now()
		say(t, c, "a")
		say(t, c, "b")
		hear(t, c, "ab")
		if took := time.Since(began); took < d {
			t.Errorf("direction %d: the answer took %v, want at least %v", dir, took, d)
		}
		p.Heal()
		began = time.Now()
		say(t, c, "c")
		hear(t, c, "c")
		if took := time.Since(began); took >= d {
			t.Errorf("direction %d: after Heal the answer took %v", dir, took)
		}
	}
}

// A cut also drops what a delay still held.
func TestCutDropsTheDelayed(t *testing.T) {
	addr, _ := echo(t)
	p := start(t, addr, Opaque)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	p.Delay(Up, 100*time.Millisecond)
	say(t, c, "late")
	p.Cut(Up)
	until(t, "the late bytes are dropped", func() bool { return p.Stats().Dropped == int64(len("late")) })
	if up := p.Stats().BytesUp; up != 1 {
		t.Errorf("%d bytes reached the server, want 1", up)
	}
}

func TestSever(t *testing.T) {
	addr, ended := echo(t)
	p := start(t, addr, Opaque)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	p.Sever()
	wasReset(t, c)
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want a reset", err)
	}
	// The reset may overtake the answer to the dial.
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		wasReset(t, c)
		c.Close()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("dial: %v", err)
	}
	if _, err := net.Listen("tcp", p.Addr()); err == nil {
		t.Error("the port of a severed proxy can be had by another")
	}
}

func TestServerNotThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, ln.Addr().String(), Opaque)
	ln.Close()
	// The reset may overtake the answer to the dial.
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		wasReset(t, c)
		c.Close()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("dial: %v", err)
	}
}

func TestRetarget(t *testing.T) {
	old, _ := echo(t)
	p := start(t, old, Opaque)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			io.WriteString(conn, "new")
			conn.Close()
		}
	}()
	p.Retarget(ln.Addr().String())
	wasReset(t, c)
	hear(t, dial(t, p), "new")
}
