package etcdlock

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// quiet is a connection that takes everything and says something when told.
type quiet struct {
	net.Conn
	said   chan string
	closed chan struct{}
}

func newQuiet() *quiet { return &quiet{said: make(chan string), closed: make(chan struct{})} }

func (q *quiet) Write(b []byte) (int, error) { return len(b), nil }
func (q *quiet) Close() error                { close(q.closed); return nil }
func (q *quiet) Read(b []byte) (int, error) {
	select {
	case s := <-q.said:
		return copy(b, s), nil
	case <-q.closed:
		return 0, net.ErrClosed
	}
}

func (q *quiet) isClosed() bool {
	select {
	case <-q.closed:
		return true
	default:
		return false
	}
}

// watched makes n connections under one watch whose fresh connections are
// answered as probe says, and reads from each.
func watched(t *testing.T, n int, probe func(context.Context) error, nudge func(raw []*quiet)) (conns []net.Conn, raw []*quiet) {
	w := newDeadwatch(probe, func(context.Context) { nudge(raw) })
	for range n {
		q := newQuiet()
		c := w.watch(q)
		if _, err := c.Write(make([]byte, prefaceLen)); err != nil {
			t.Fatal(err)
		}
		conns, raw = append(conns, c), append(raw, q)
		go func() {
			for {
				if _, err := c.Read(make([]byte, 10)); err != nil {
					return
				}
			}
		}()
	}
	t.Cleanup(func() {
		for i, q := range raw {
			if !q.isClosed() {
				conns[i].Close()
			}
		}
		w.close()
	})
	return conns, raw
}

func say(t *testing.T, c net.Conn) {
	t.Helper()
	ping := [frameHeaderLen + 8]byte{2: 8, 3: framePing}
	if _, err := c.Write(ping[:]); err != nil {
		t.Fatal(err)
	}
}

func answered(context.Context) error { return nil }

func unheard([]*quiet) {}

func TestDeadwatchConvicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns, raw := watched(t, 3, answered, unheard)
		dead, idle, live := 0, 1, 2
		say(t, conns[dead])
		time.Sleep(bearable / 2)
		say(t, conns[live])
		raw[live].said <- "!"
		time.Sleep(bearable/2 + lastWord - time.Millisecond)
		if raw[dead].isClosed() {
			t.Error("a silent connection was closed before it had its last word")
		}
		time.Sleep(2 * time.Millisecond)
		if !raw[dead].isClosed() {
			t.Error("a connection that was silent while a fresh one was answered is open")
		}
		if !raw[idle].isClosed() {
			t.Error("one that nothing was heard of since then either is open")
		}
		if raw[live].isClosed() {
			t.Error("one that answered was closed")
		}
	})
}

// What is answered by nothing is no reason to look.
func TestDeadwatchOverlooksAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns, raw := watched(t, 1, func(context.Context) error {
			t.Error("a fresh connection was tried")
			return nil
		}, unheard)
		for range 5 {
			ack := [frameHeaderLen + 8]byte{2: 8, 3: framePing, 4: flagAck}
			if _, err := conns[0].Write(ack[:]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		if raw[0].isClosed() {
			t.Error("a connection that owed no answer was closed")
		}
	})
}

// A server that stands still answers nobody: nothing is closed until it goes on,
// and then the old connections answer as well.
func TestDeadwatchSparesASlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goesOn := make(chan struct{})
		conns, raw := watched(t, 1, func(ctx context.Context) error {
			select {
			case <-goesOn:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, unheard)
		say(t, conns[0])
		time.Sleep(time.Minute)
		close(goesOn)
		time.Sleep(lastWord / 2)
		raw[0].said <- "!"
		time.Sleep(time.Minute)
		if raw[0].isClosed() {
			t.Error("a connection that answered as soon as the server did was closed")
		}
	})
}

// A connection that stays silent is found when a fresh one can be had again.
func TestDeadwatchTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healed := time.Now().Add(10 * time.Second)
		conns, raw := watched(t, 1, func(context.Context) error {
			if time.Now().Before(healed) {
				return errors.New("unreachable")
			}
			return nil
		}, unheard)
		say(t, conns[0])
		time.Sleep(9 * time.Second)
		if raw[0].isClosed() {
			t.Fatal("a connection was closed although no fresh one was answered")
		}
		time.Sleep(2 * time.Second)
		if !raw[0].isClosed() {
			t.Error("a connection that stayed silent is open")
		}
	})
}

// A commit that takes long on a slow disk is no sign of a dead connection: what
// needs no disk is answered over it at once.
func TestDeadwatchSparesASlowRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nudged atomic.Int64
		conns, raw := watched(t, 1, answered, func(raw []*quiet) {
			nudged.Add(1)
			raw[0].said <- "!"
		})
		for range 10 {
			say(t, conns[0])
			time.Sleep(5 * time.Second)
		}
		if raw[0].isClosed() {
			t.Error("a connection that answers was closed because one request took long")
		}
		if n := nudged.Load(); n != 10 {
			t.Errorf("nudged %d times, want 10", n)
		}
	})
}
