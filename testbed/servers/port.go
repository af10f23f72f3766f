package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// freePort returns a port of the loopback interface on which nobody listens.
// Another process may take it first: whoever uses it retries.
//
// Where that is known, it is none of those that the system gives to outgoing
// connections: a server that was killed must get its port again, and one of its
// own clients, trying to connect, could be given it in the meantime.
func freePort() (int, error) {
	const lowest = 10_000
	if first := firstOutgoing(); first > lowest+1000 {
		for range 100 {
			port := lowest + rand.IntN(first-lowest)
			if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
				return port, ln.Close()
			}
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = ln.Close() }() // nobody connected
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// firstOutgoing is the first port that the system gives to outgoing
// connections, or 0 where that is not known.
func firstOutgoing() int {
	var first, last int
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(b), &first, &last); err != nil {
		return 0
	}
	return first
}
