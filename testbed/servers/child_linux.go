package servers

import "syscall"

// childAttr keeps a Ctrl-C at the terminal from the server, whose tests are
// still to end, and ends the server with this process however that ends.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
