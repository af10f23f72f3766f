// Command soak lets random clients and faults loose on one backend for as long
// as it is told, judges every history, and keeps the evidence:
//
//	go run ./cmd/soak -backend etcd-lease -for 10m
//
// The time is cut into rounds, each on a fresh place of the server and judged
// at once, so that what was found is known early and memory stays bounded.
// Into the directory of -out it writes history.json, for cmd/recheck (the first
// round in which something is not green, else the last one), and report.json
// and report.html.
//
// It starts the server that it needs, or takes the one that LOCKER_TEST_ETCD or
// LOCKER_TEST_REDIS names. Exit status: 0 all is green, 1 something is not, 2
// wrong usage, 3 there is no server or the evidence could not be written, 130
// interrupted, with the evidence of the rounds before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/memlock/memrig"
	"github.com/lockerlib/locker/testbed/foreign"
	"github.com/lockerlib/locker/testbed/remote"
	"github.com/lockerlib/locker/testbed/rigs"
	"github.com/lockerlib/locker/testbed/servers"
)

const (
	exitOK          = 0
	exitNotGreen    = 1
	exitUsage       = 2
	exitCannot      = 3
	exitInterrupted = 130
)

// options are the flags, checked.
type options struct {
	backend string
	length  time.Duration
	round   time.Duration
	seed    uint64
	clients int
	workers int
	names   int
	out     string
}

// backends are those that can be soaked, and how a maker of their rigs is made.
var backends = map[string]func(ctx context.Context, log io.Writer) (conformance.Maker, error){
	"memory":         func(context.Context, io.Writer) (conformance.Maker, error) { return memrig.Maker(false), nil },
	"memory-bubble":  func(context.Context, io.Writer) (conformance.Maker, error) { return memrig.Maker(true), nil },
	"etcd-lease":     on(servers.Etcd, func(s *servers.Server) (rigs.Maker, error) { return rigs.Etcd(s, etcdlock.Lease) }),
	"etcd-session":   on(servers.Etcd, func(s *servers.Server) (rigs.Maker, error) { return rigs.Etcd(s, etcdlock.Session) }),
	"etcd-lease-3":   on(servers.EtcdCluster, func(s *servers.Server) (rigs.Maker, error) { return rigs.EtcdCluster(s, etcdlock.Lease) }),
	"etcd-session-3": on(servers.EtcdCluster, func(s *servers.Server) (rigs.Maker, error) { return rigs.EtcdCluster(s, etcdlock.Session) }),
	"redis":          on(servers.Redis, rigs.Redis),
	"redis-aof":      on(servers.RedisAOF, rigs.RedisAOF),
	"redis-replica":  on(servers.RedisWithReplica, rigs.RedisReplica),
}

// Other libraries can be soaked too. What is found in them is no failure of this
// program, but the exit status says it all the same.
func init() {
	for _, l := range foreign.Libraries() {
		get := servers.Redis
		if l.Servers == servers.EtcdName {
			get = servers.Etcd
		}
		backends[l.Scheme] = on(get, func(s *servers.Server) (rigs.Maker, error) { return rigs.Foreign(s, l) })
	}
}

// on makes rigs on a server from source.
func on(source func(context.Context, io.Writer) (*servers.Server, error), maker func(*servers.Server) (rigs.Maker, error)) func(context.Context, io.Writer) (conformance.Maker, error) {
	return func(ctx context.Context, log io.Writer) (conformance.Maker, error) {
		s, err := source(ctx, log)
		if err != nil {
			return nil, err
		}
		return maker(s)
	}
}

func keys() string {
	var list []string
	for k := range backends {
		list = append(list, k)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func main() {
	remote.Main() // clients in processes of their own are this program
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err := servers.StopAll(); err != nil {
		fmt.Fprintln(os.Stderr, "soak: stopping the servers:", err)
		code = max(code, exitCannot)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return exitUsage
	}
	maker, err := backends[o.backend](ctx, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return exitCannot
	}
	if c, ok := maker.(io.Closer); ok {
		defer func() { _ = c.Close() }() // a connection that was only read from
	}
	s := &soak{options: o, maker: maker, log: stdout}
	s.run(ctx)
	if err := s.write(); err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return exitCannot
	}
	switch {
	case !s.ok():
		return exitNotGreen
	case ctx.Err() != nil:
		return exitInterrupted
	}
	return exitOK
}

const usage = `Usage: soak [-backend NAME] [-for 1m] [-out DIRECTORY] ...

Lets random clients and faults loose on one backend, in rounds that are judged at
once, and keeps the evidence: history.json for cmd/recheck, report.json and
report.html.

Exit status: 0 all is green, 1 something is not, 2 wrong usage, 3 there is no
server or the evidence could not be written, 130 interrupted, with the evidence
of the rounds before.

`

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), usage)
		fs.PrintDefaults()
	}
	fs.StringVar(&o.backend, "backend", "memory", "which to soak: "+keys())
	fs.DurationVar(&o.length, "for", time.Minute, "for how long")
	fs.DurationVar(&o.round, "round", 30*time.Second, "how long each round is")
	fs.Uint64Var(&o.seed, "seed", 0, "of the first round; each further one adds 1 (0: a random one)")
	fs.IntVar(&o.clients, "clients", 5, "how many clients there are at a time")
	fs.IntVar(&o.workers, "workers", 2, "goroutines of each client")
	fs.IntVar(&o.names, "names", 3, "names that they compete for")
	fs.StringVar(&o.out, "out", "soak-out", "where the evidence goes")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case backends[o.backend] == nil:
		return o, fmt.Errorf("there is no backend %q; known: %s", o.backend, keys())
	case o.length <= 0 || o.round <= 0 || o.clients < 2 || o.workers < 1 || o.names < 1 || o.out == "":
		return o, errors.New("-for, -round, -workers and -names must be greater than 0, -clients than 1, and -out not empty")
	}
	o.round = min(o.round, o.length)
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 53)
	}
	return o, nil
}
