// Package servers finds or starts the servers that tests need: a real etcd and
// a real Redis, in this order, and says aloud which:
//
//  1. the one that LOCKER_TEST_ETCD or LOCKER_TEST_REDIS names (host:port);
//  2. a container of the public image;
//  3. a container of an image that is built from what is on this machine;
//  4. a local binary: in the PATH, or, for etcd, built from the sources that
//     this module pins;
//  5. an etcd that is embedded in this process, and a stand-in for Redis,
//     which is named as such and is never counted as Redis.
//
// Whatever was started is stopped by Stop, by StopAll, on a signal after
// StopOnSignal, and at the latest by the next process that starts a server.
package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A Kind says where a server came from.
type Kind string

// The kinds of servers, in the order in which they are tried.
const (
	Environment    Kind = "environment"
	ContainerImage Kind = "container, public image"
	ContainerBuilt Kind = "container, image built here"
	LocalBinary    Kind = "local binary"
	Embedded       Kind = "embedded"
	StandIn        Kind = "stand-in miniredis"
)

// The names of the servers.
const (
	EtcdName  = "etcd"
	RedisName = "Redis"
)

// A Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	Name    string // EtcdName or RedisName
	Addr    string // host:port
	Kind    Kind
	Version string // as the server says
	// Origin is the Kind that the process had told which started a server of
	// kind Environment, or "".
	Origin Kind
	// Setup is what is special about how it runs, for people, or "".
	Setup string

	members []string // the addresses of all members, if there are several
	powers  Powers
	once    sync.Once
	err     error
}

// Addresses returns the addresses of all members, which for most servers is one.
func (s *Server) Addresses() []string {
	if len(s.members) == 0 {
		return []string{s.Addr}
	}
	return s.members
}

// Powers are what can be done to a server that was started here. A nil one is
// missing: nothing can be done to a server of the environment.
type Powers struct {
	Pause   func(context.Context) error // stops the process, as SIGSTOP does
	Resume  func(context.Context) error
	Kill    func(context.Context) error // SIGKILL
	Restart func(context.Context) error // after Kill, with the same address and data
	// Disconnect takes the server off its network, which it leaves running, and
	// Reconnect puts it back at the same address.
	Disconnect, Reconnect func(context.Context) error

	stop func() error
}

// IsStandIn reports whether the server is none of the software that it answers
// for.
func (s *Server) IsStandIn() bool { return s.Kind == StandIn || s.Origin == StandIn }

// String says what the server is and where: "etcd 3.7.3, local binary,
// 127.0.0.1:2379".
func (s *Server) String() string {
	kind := string(s.Kind)
	if s.Origin != "" {
		kind += " (" + string(s.Origin) + ")"
	}
	if s.IsStandIn() {
		return fmt.Sprintf("no %s but a stand-in, %s, %s", s.Name, s.Version, s.Addr)
	}
	version := s.Version
	if s.Setup != "" {
		version += " " + s.Setup
	}
	return fmt.Sprintf("%s %s, %s, %s", s.Name, version, kind, strings.Join(s.Addresses(), " "))
}

// ErrNoPower is returned for what cannot be done to a server of its kind.
var ErrNoPower = errors.New("servers: this kind of server does not offer that")

// Pause stops the server's process without ending it.
func (s *Server) Pause(ctx context.Context) error { return s.do(ctx, s.powers.Pause) }

// Resume ends Pause.
func (s *Server) Resume(ctx context.Context) error { return s.do(ctx, s.powers.Resume) }

// Disconnect takes a server that was started with Options.Apart off its network.
// It runs on; nothing reaches it, and no connection is ended.
func (s *Server) Disconnect(ctx context.Context) error { return s.do(ctx, s.powers.Disconnect) }

// Reconnect ends Disconnect.
func (s *Server) Reconnect(ctx context.Context) error { return s.do(ctx, s.powers.Reconnect) }

// Kill ends the server's process with SIGKILL.
func (s *Server) Kill(ctx context.Context) error { return s.do(ctx, s.powers.Kill) }

// Restart starts the server again after Kill, at the same address, with the
// data that reached its disk. It returns when the server answers.
func (s *Server) Restart(ctx context.Context) error { return s.do(ctx, s.powers.Restart) }

func (s *Server) do(ctx context.Context, power func(context.Context) error) error {
	if power == nil {
		return fmt.Errorf("%w: %s", ErrNoPower, s)
	}
	return power(ctx)
}

// Stop ends the server if it was started here, and removes its data. It may be
// called again.
func (s *Server) Stop() error {
	s.once.Do(func() {
		forget(s)
		if s.powers.stop != nil {
			s.err = s.powers.stop()
		}
	})
	return s.err
}

// A source is one way to get a server. Its error says why this machine has
// not got that way.
type source struct {
	kind  Kind
	start func(ctx context.Context) (*Server, error)
}

// A fatalError is one after which no other way is tried.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// Etcd returns an etcd, and tells log which, and why not another.
func Etcd(ctx context.Context, log io.Writer) (*Server, error) {
	return find(ctx, log, EtcdName, etcdSources(Options{}))
}

// Redis returns a Redis, or a stand-in for it, and tells log which, and why not
// another.
func Redis(ctx context.Context, log io.Writer) (*Server, error) {
	return find(ctx, log, RedisName, redisSources(Options{}))
}

func find(ctx context.Context, log io.Writer, name string, sources []source) (*Server, error) {
	say := func(format string, args ...any) {
		fmt.Fprintf(log, "servers: "+format+"\n", args...)
	}
	var errs []error
	for _, src := range sources {
		s, err := src.start(ctx)
		if err == nil {
			remember(s)
			say("using %s", s)
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("servers: %s: %w", name, context.Cause(ctx))
		}
		if _, fatal := errors.AsType[fatalError](err); fatal {
			return nil, fmt.Errorf("servers: %s: %w", name, err)
		}
		if !errors.Is(err, errNotGiven) {
			say("%s: no %s: %s", name, src.kind, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		errs = append(errs, fmt.Errorf("%s: %w", src.kind, err))
	}
	return nil, fmt.Errorf("servers: no %s: %w", name, errors.Join(errs...))
}
