package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/memlock/memrig"
	"github.com/lockerlib/locker/testbed/foreign"
	"github.com/lockerlib/locker/testbed/rigs"
	"github.com/lockerlib/locker/testbed/servers"
)

// A target is one column of the comparison.
type target struct {
	key string // on the command line
	// foreign is another library: its column states facts, and what is not green
	// in it is no failure of this program. It is run only where it is asked for.
	foreign bool
	server  string // a key of the sources, or "" if it needs none
	// maker makes rigs on the server. If the Maker is an io.Closer, it is closed.
	maker func(*servers.Server) (conformance.Maker, error)
	// faults makes rigs for the fault set, which bring their own servers; nil if
	// there is none.
	faults func() conformance.Maker
}

// underFault is the target for the fault set.
func (t target) underFault() target {
	t.server = ""
	t.maker = func(*servers.Server) (conformance.Maker, error) { return t.faults(), nil }
	return t
}

// A source gets a server, and tells log which.
type source func(ctx context.Context, log io.Writer) (*servers.Server, error)

func allSources() map[string]source {
	return map[string]source{servers.EtcdName: servers.Etcd, servers.RedisName: servers.Redis}
}

func allTargets() []target {
	etcd := func(mode etcdlock.Mode) func(*servers.Server) (conformance.Maker, error) {
		return func(s *servers.Server) (conformance.Maker, error) { return rigs.Etcd(s, mode) }
	}
	etcdFaults := func(mode etcdlock.Mode) func() conformance.Maker {
		return func() conformance.Maker { return rigs.EtcdFaults(mode) }
	}
	memory := func() conformance.Maker { return memrig.Maker(true) }
	own := []target{
		{key: "memory", faults: memory, maker: func(*servers.Server) (conformance.Maker, error) { return memory(), nil }},
		{key: "etcd-session", server: servers.EtcdName, maker: etcd(etcdlock.Session), faults: etcdFaults(etcdlock.Session)},
		{key: "etcd-lease", server: servers.EtcdName, maker: etcd(etcdlock.Lease), faults: etcdFaults(etcdlock.Lease)},
		{key: "redis", server: servers.RedisName, maker: func(s *servers.Server) (conformance.Maker, error) { return rigs.Redis(s) },
			faults: func() conformance.Maker { return rigs.RedisFaults() }},
	}
	return append(own, foreignTargets()...)
}

// foreignTargets are the other libraries, by the schemes of their adapters.
func foreignTargets() []target {
	var all []target
	for _, l := range foreign.Libraries() {
		all = append(all, target{key: l.Scheme, foreign: true, server: l.Servers, maker: func(s *servers.Server) (conformance.Maker, error) {
			return rigs.Foreign(s, l)
		}})
	}
	return all
}

// had is a server, or why there is none.
type had struct {
	server *servers.Server
	err    error
}

// start gets the servers that the targets need, all at once.
func start(ctx context.Context, targets []target, sources map[string]source, log io.Writer) map[string]had {
	log = &oneAtATime{w: log}
	var (
		mu     sync.Mutex // guards found
		found  = make(map[string]had)
		all    sync.WaitGroup
		wanted = make(map[string]bool)
	)
	for _, t := range targets {
		if t.server == "" || wanted[t.server] {
			continue
		}
		wanted[t.server] = true
		all.Go(func() {
			var h had
			if get := sources[t.server]; get == nil {
				h.err = fmt.Errorf("no source of %s", t.server)
			} else {
				h.server, h.err = get(ctx, log)
			}
			mu.Lock()
			defer mu.Unlock()
			found[t.server] = h
		})
	}
	all.Wait()
	return found
}

// oneAtATime is a writer that several goroutines may use.
type oneAtATime struct {
	mu sync.Mutex // held while writing
	w  io.Writer
}

func (o *oneAtATime) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}
