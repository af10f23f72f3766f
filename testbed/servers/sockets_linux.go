package servers

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var errNoSockets error

// hasPort reports whether the process has a TCP connection over IPv4 with this
// local port.
func hasPort(pid, port int) bool {
	inode, err := inodeOf(port)
	if err != nil {
		return false
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	want := "socket:[" + inode + "]"
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == want {
			return true
		}
	}
	return false
}

// inodeOf looks a port up in the kernel's table: the second field of a line is
// the local address and the tenth the inode, which is 0 for a connection that
// nobody has any more.
func inodeOf(port int) (string, error) {
	table, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	defer func() { _ = table.Close() }() // only read
	for lines := bufio.NewScanner(table); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[9] == "0" {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			return f[9], nil
		}
	}
	return "", errors.New("no such connection")
}
