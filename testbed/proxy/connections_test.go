package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestReset(t *testing.T) {
	addr, ended := echo(t)
	p := start(t, addr, Opaque)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	if n := p.Reset(); n != 1 {
		t.Errorf("Reset() = %d, want 1", n)
	}
	wasReset(t, c)
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want a reset", err)
	}
	after := dial(t, p)
	say(t, after, "b")
	hear(t, after, "b")
}

func TestHalfOpen(t *testing.T) {
	addr, ended := echo(t)
	p := start(t, addr, Opaque)
	dead := dial(t, p)
	say(t, dead, "a")
	hear(t, dead, "a")
	if n := p.HalfOpen(); n != 1 {
		t.Errorf("HalfOpen() = %d, want 1", n)
	}
	say(t, dead, "lost")
	silent(t, dead)
	fresh := dial(t, p)
	say(t, fresh, "b")
	hear(t, fresh, "b")
	until(t, "bytes are swallowed", func() bool { return p.Stats().Dropped == int64(len("lost")) })

	// The server does not learn that its client gives up.
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Errorf("the server learnt of the end: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	p.Heal()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Heal the server saw %v, want a reset", err)
	}
	say(t, fresh, "c")
	hear(t, fresh, "c")
}

func TestStall(t *testing.T) {
	addr, _ := echo(t)
	p := start(t, addr, Opaque)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	p.Stall()
	say(t, c, "late")
	silent(t, c)
	until(t, "it reaches the server", func() bool { return p.Stats().BytesUp == int64(len("alate")) })
	p.Heal()
	hear(t, c, "late")
	if got := p.Stats().Late; got != int64(len("late")) {
		t.Errorf("%d bytes were late, want 4", got)
	}
}

// The server feels it: what it sends comes to a halt.
func TestStallFillsTheServer(t *testing.T) {
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
	p.Stall()
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	sent := 0
	for range 1000 {
		server.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := server.Write(chunk)
		sent += n
		if err != nil {
			break
		}
	}
	if sent == 1000*len(chunk) {
		t.Fatal("the server could send a gigabyte to a client that reads nothing")
	}
	p.Heal()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := io.ReadFull(c, make([]byte, sent)); err != nil {
		t.Errorf("after Heal %d of %d bytes arrived: %v", n, sent, err)
	}
}
