package servers

import (
	"context"
	"io"
	"slices"
)

// Options say what is special about a server that is started for one user
// alone.
type Options struct {
	Args []string // further arguments of the server
	// Local asks for a process of this machine: what a container cannot have
	// done to it without a network of its own.
	Local bool
	// Apart asks for a container on a network of its own, for Disconnect.
	Apart bool

	env []string // further variables of a process of this machine
}

// OwnEtcd starts an etcd that nobody else uses, in a container or as a process:
// one that the environment names belongs to others.
func OwnEtcd(ctx context.Context, o Options) (*Server, error) {
	return own(ctx, EtcdName, etcdSources(o), o)
}

// OwnRedis is OwnEtcd for Redis. A stand-in is none.
func OwnRedis(ctx context.Context, o Options) (*Server, error) {
	return own(ctx, RedisName, redisSources(o), o)
}

func own(ctx context.Context, name string, sources []source, o Options) (*Server, error) {
	return find(ctx, io.Discard, name, slices.DeleteFunc(sources, func(s source) bool {
		switch s.kind {
		case LocalBinary:
			return o.Apart
		case ContainerImage, ContainerBuilt:
			return o.Local
		case Environment, Embedded, StandIn:
		}
		return true
	}))
}
