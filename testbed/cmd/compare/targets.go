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
	// further is one of our own that is run only where it is asked for: another
	// way to run a server that has a column already.
	further bool
	server  string // a key of the sources, or "" if it needs none
	// maker makes rigs on the server. If the Maker is an io.Closer, it is closed.
	maker func(*servers.Server) (conformance.Maker, error)
	// faults makes rigs for the fault set, which bring their own servers; nil if
	// there is none. So many of its checks run at once, or as many as is usual.
	faults       func() conformance.Maker
	faultsAtOnce int
}

// A source gets a server, and tells log which.
type source func(ctx context.Context, log io.Writer) (*servers.Server, error)

// The sources that start a server in another way, always for this process
// alone: how one of the environment is set up is not known.
const (
	etcdCluster  = "etcd of 3 members"
	redisAOF     = "Redis with AOF"
	redisReplica = "Redis with a replica"
)

func allSources() map[string]source {
	return map[string]source{
		servers.EtcdName: servers.Etcd, servers.RedisName: servers.Redis,
		etcdCluster: servers.EtcdCluster, redisAOF: servers.RedisAOF, redisReplica: servers.RedisWithReplica,
	}
}

func allTargets() []target {
	memory := func() conformance.Maker { return memrig.Maker(true) }
	own := []target{{key: "memory", faults: memory, maker: func(*servers.Server) (conformance.Maker, error) { return memory(), nil }}}
	own = append(own, etcdTargets()...)
	own = append(own, redisTargets()...)
	return append(own, foreignTargets()...)
}

func etcdTargets() []target {
	var one, three []target
	for _, mode := range []etcdlock.Mode{etcdlock.Session, etcdlock.Lease} {
		key := "etcd-" + mode.String()
		one = append(one, target{
			key: key, server: servers.EtcdName,
			maker:  func(s *servers.Server) (conformance.Maker, error) { return rigs.Etcd(s, mode) },
			faults: func() conformance.Maker { return rigs.EtcdFaults(mode) },
		})
		three = append(three, target{
			key: key + "-3", further: true, server: etcdCluster,
			maker:  func(s *servers.Server) (conformance.Maker, error) { return rigs.EtcdCluster(s, mode) },
			faults: func() conformance.Maker { return rigs.EtcdClusterFaults(mode) }, faultsAtOnce: 2,
		})
	}
	return append(one, three...)
}

func redisTargets() []target {
	return []target{
		{
			key: "redis", server: servers.RedisName,
			maker:  func(s *servers.Server) (conformance.Maker, error) { return rigs.Redis(s) },
			faults: func() conformance.Maker { return rigs.RedisFaults() },
		}, {
			key: "redis-aof", further: true, server: redisAOF,
			maker:  func(s *servers.Server) (conformance.Maker, error) { return rigs.RedisAOF(s) },
			faults: func() conformance.Maker { return rigs.RedisAOFFaults() },
		}, {
			key: "redis-replica", further: true, server: redisReplica,
			maker:  func(s *servers.Server) (conformance.Maker, error) { return rigs.RedisReplica(s) },
			faults: func() conformance.Maker { return rigs.RedisReplicaFaults() },
		},
	}
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

// start gets the servers, all at once.
func start(ctx context.Context, names []string, sources map[string]source, log io.Writer) map[string]had {
	log = &oneAtATime{w: log}
	var (
		mu    sync.Mutex // guards found
		found = make(map[string]had)
		all   sync.WaitGroup
	)
	for _, name := range names {
		all.Go(func() {
			var h had
			if get := sources[name]; get == nil {
				h.err = fmt.Errorf("no source of %s", name)
			} else {
				h.server, h.err = get(ctx, log)
			}
			mu.Lock()
			defer mu.Unlock()
			found[name] = h
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
