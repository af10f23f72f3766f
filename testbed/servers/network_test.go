package servers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/lockerlib/locker/testbed/images"
)

// A server that is off its network answers nobody, ends no connection, runs on,
// and is back at its address: what was sent meanwhile arrives then.
func TestDisconnect(t *testing.T) {
	if err := NoNetworks(); err != nil {
		missing(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s, err := OwnRedis(ctx, Options{Apart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func(d time.Duration) error {
		if err := conn.SetDeadline(time.Now().Add(d)); err != nil {
			return err
		}
		if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
			return err
		}
		_, err := answers.ReadString('\n')
		return err
	}
	if err := ask(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Disconnect(ctx); err != nil {
			t.Fatal("Disconnect:", err)
		}
		if err := ask(300 * time.Millisecond); !os.IsTimeout(err) {
			t.Errorf("off its network, the server answered or the connection ended: %v", err)
		}
		if err := s.Reconnect(ctx); err != nil {
			t.Fatal("Reconnect:", err)
		}
		if err := ask(20 * time.Second); err != nil {
			t.Errorf("back on its network, the server does not answer on the connection of before: %v", err)
		}
		if _, err := answers.ReadString('\n'); err != nil { // to the one that was sent meanwhile
			t.Error(err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error("Stop:", err)
	}
	nothingLeft(t)
}

// Only a server that was asked for so has the power, and one that is asked for
// so is in a container.
func TestDisconnectTakesANetwork(t *testing.T) {
	s, err := OwnRedis(t.Context(), Options{Local: true})
	if err == nil {
		defer s.Stop()
		if err := s.Disconnect(t.Context()); err == nil {
			t.Error("a process of this machine was taken off its network")
		}
	}
	if both, err := OwnRedis(t.Context(), Options{Local: true, Apart: true}); err == nil {
		both.Stop()
		t.Errorf("got %s", both)
	}
}

func TestNetworksOfTheDeadAreRemoved(t *testing.T) {
	d, err := images.Docker(t.Context())
	if err != nil {
		missing(t, err)
	}
	defer d.Close()
	gone := self()
	gone.start = "1"
	if !gone.dead() {
		t.Skip("this machine does not tell when a process started")
	}
	var ids []string
	for _, o := range []owner{gone, self()} {
		n, err := createNetwork(t.Context(), d, o.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, n.id)
		defer n.remove(t.Context())
	}
	sweep(t.Context(), d)
	for i, id := range ids {
		_, err := d.NetworkInspect(t.Context(), id, client.NetworkInspectOptions{})
		if left := err == nil; left != (i == 1) {
			t.Errorf("network %d: left is %v (%v)", i, left, err)
		}
	}
}
