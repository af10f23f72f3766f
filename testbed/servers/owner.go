package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/moby/moby/client"
)

// live are the servers that this process has started and not stopped.
var live struct {
	sync.Mutex
	servers map[*Server]struct{}
}

func remember(s *Server) {
	live.Lock()
	defer live.Unlock()
	if live.servers == nil {
		live.servers = make(map[*Server]struct{})
	}
	live.servers[s] = struct{}{}
}

func forget(s *Server) {
	live.Lock()
	defer live.Unlock()
	delete(live.servers, s)
}

// StopAll stops every server that this process has started.
func StopAll() error {
	live.Lock()
	var all []*Server
	for s := range live.servers {
		all = append(all, s)
	}
	live.Unlock()
	errs := make([]error, len(all))
	var stopping sync.WaitGroup
	for i, s := range all {
		stopping.Go(func() { errs[i] = s.Stop() })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// StopOnSignal makes SIGINT, SIGTERM and SIGHUP stop every server before they
// end the process as they would without it. It is for test binaries; a command
// that has its own way to end should call StopAll there.
func StopOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		sig := <-signals
		if err := StopAll(); err != nil {
			fmt.Fprintln(os.Stderr, "servers:", err)
		}
		signal.Reset(sig)
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(sig)
		}
		if err != nil {
			os.Exit(1)
		}
	}()
}

// An owner is the process that a container or a folder belongs to, so that the
// next one can remove what a dead one left. The start time is in it because
// process IDs are used again, the host name because containers of several
// machines can be on one daemon.
type owner struct {
	host  string
	pid   int
	start string
}

func (o owner) String() string { return fmt.Sprintf("%s_%d_%s", o.host, o.pid, o.start) }

func parseOwner(s string) (owner, bool) {
	rest, start, ok1 := cutLast(s, "_")
	host, pid, ok2 := cutLast(rest, "_")
	n, err := strconv.Atoi(pid)
	return owner{host, n, start}, ok1 && ok2 && err == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

var self = sync.OnceValue(func() owner {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return owner{host: host, pid: os.Getpid(), start: startOf(os.Getpid())}
})

// dead reports whether the owner was a process of this machine that is gone.
func (o owner) dead() bool {
	if o.host != self().host {
		return false
	}
	p, err := os.FindProcess(o.pid)
	if err != nil || errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) {
		return true
	}
	return startOf(o.pid) != o.start
}

// startOf returns when a process started, in whatever unit the system has, or
// "0" where it is not known: then the process ID alone must do.
func startOf(pid int) string {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "0"
	}
	// The name in parentheses may contain anything; 19 fields follow it before
	// the start time.
	_, rest, ok := cutLast(string(stat), ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return "0"
	}
	return fields[19]
}

const dirPrefix = "locker-testbed_"

// newDir makes a folder for the data of a server.
func newDir() (string, error) {
	sweepDirs()
	return os.MkdirTemp("", dirPrefix+self().String()+"_*")
}

var sweepDirs = sync.OnceFunc(func() {
	paths, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range paths {
		name, _, _ := cutLast(strings.TrimPrefix(filepath.Base(path), dirPrefix), "_")
		if o, ok := parseOwner(name); ok && o.dead() {
			_ = os.RemoveAll(path) // left for the next one if it cannot be removed
		}
	}
})

const ownerLabel = "com.github.lockerlib.locker.testbed.owner"

var swept sync.Once

// sweepContainers removes the containers of dead processes and their networks,
// once.
func sweepContainers(ctx context.Context, d *client.Client) {
	swept.Do(func() { sweep(ctx, d) })
}

// sweep leaves what it cannot remove for the next process. If it can do nothing,
// starting a container will say what is wrong.
func sweep(ctx context.Context, d *client.Client) {
	ours := make(client.Filters).Add("label", ownerLabel)
	dead := func(labels map[string]string) bool {
		o, ok := parseOwner(labels[ownerLabel])
		return ok && o.dead()
	}
	containers, err := d.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return
	}
	for _, c := range containers.Items {
		if dead(c.Labels) {
			_ = removeContainer(ctx, d, c.ID)
		}
	}
	networks, err := d.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return
	}
	for _, n := range networks.Items {
		if dead(n.Labels) {
			_ = removeNetwork(ctx, d, n.ID)
		}
	}
}
