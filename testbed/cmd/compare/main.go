// Command compare runs the conformance suite over memory, etcd in both modes,
// and Redis, prints what each guarantees, and writes the evidence. With -faults
// it does things to their servers, three etcds and Redis with AOF or a replica
// among them; with -foreign it takes other lock libraries; with -all, everything.
//
// The evidence is report.json, .html, .md and .xml (JUnit), and for each check of
// a history that is not green history-BACKEND-CHECK.json, for cmd/recheck.
//
// It starts the servers that it needs, or takes those that LOCKER_TEST_ETCD and
// LOCKER_TEST_REDIS name, and stops what it started, also on Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/lockerlib/locker/testbed/remote"
	"github.com/lockerlib/locker/testbed/servers"
)

// What the process ends with.
const (
	exitOK          = 0
	exitNotGreen    = 1
	exitUsage       = 2
	exitCannot      = 3   // a server that is required is missing, or the report cannot be written
	exitInterrupted = 130 // as a shell has it after Ctrl-C
)

var errInterrupted = errors.New("interrupted")

func main() {
	remote.Main() // clients in processes of their own are this program
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "\ncompare: stopping; once more to leave at once")
		cancel(errInterrupted)
		<-signals
		// Servers die with this process where the kernel sees to it; the next
		// run clears up the rest.
		os.Exit(exitInterrupted)
	}()

	c := &comparison{
		stdout: stream{os.Stdout, screenOf(os.Stdout)}, stderr: stream{os.Stderr, screenOf(os.Stderr)},
		targets: allTargets(), sources: allSources(), stop: servers.StopAll,
	}
	os.Exit(c.run(ctx, os.Args[1:]))
}
