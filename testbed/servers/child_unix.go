//go:build unix && !linux

package servers

import "syscall"

// childAttr keeps a Ctrl-C at the terminal from the server, whose tests are
// still to end.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
