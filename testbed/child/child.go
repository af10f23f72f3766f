// Package child starts processes that do not outlive this one.
package child

import (
	"os/exec"
	"runtime"
)

// Start starts cmd and returns a channel that is closed when it has ended. On
// Linux the kernel kills the process when this one ends, however that happens.
// A Ctrl-C at the terminal does not reach it: whoever started it is to end it,
// in good order.
//
// It waits for cmd by itself: cmd must not use StdoutPipe or StderrPipe, whose
// last data that may cut off.
func Start(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	cmd.SysProcAttr = attr()
	done := make(chan struct{})
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that started it: this one
		// stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
			close(done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return done, nil
}
