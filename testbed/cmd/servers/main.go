// Command servers starts an etcd and a Redis, runs a command that finds them in
// its environment, and stops them again:
//
//	go run ./cmd/servers -- go test ./...
//
// It says which servers it uses, before and after, and ends with the status of
// the command. With CI=true, or as LOCKER_REQUIRE says, it fails when a real
// server is missing.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/lockerlib/locker/testbed/servers"
)

const usage = `usage: servers [--] COMMAND [ARGUMENT...]
runs COMMAND with LOCKER_TEST_ETCD and LOCKER_TEST_REDIS set to servers that it
starts, unless these are set already`

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// stopGrace is how long the command may take to end after a signal.
const stopGrace = 20 * time.Second

func run(args []string) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	set, err := servers.Start(ctx, os.Stdout)
	if err != nil {
		return 1, errors.Join(err, servers.StopAll())
	}
	defer func() {
		fmt.Printf("servers: used %s\nservers: used %s\n", set.Etcd, set.Redis)
		if stopErr := set.Stop(); stopErr != nil {
			code, err = max(code, 1), errors.Join(err, stopErr)
		}
	}()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), set.Environ()...)
	// A group of its own, so that a signal reaches all of the command, once,
	// whether it came from the terminal or was sent to this process alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = stopGrace
	err = cmd.Run()
	if ctx.Err() != nil {
		// Whatever of the group is still there has had its time.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return 130, errors.New("servers: interrupted")
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, fmt.Errorf("servers: %w", err)
	}
	return 0, nil
}
