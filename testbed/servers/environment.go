package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// The variables that name a server, as host:port. The second of each pair tells
// what kind of server it is, where a process of this module started it for
// another.
const (
	EnvEtcd      = "LOCKER_TEST_ETCD"
	EnvEtcdKind  = "LOCKER_TEST_ETCD_KIND"
	EnvRedis     = "LOCKER_TEST_REDIS"
	EnvRedisKind = "LOCKER_TEST_REDIS_KIND"
)

var errNotGiven = errors.New("not given")

// fromEnvironment takes the server that a variable names. One that does not
// answer is an error, not a reason to look elsewhere: whoever named it meant it.
func fromEnvironment(ctx context.Context, name, variable, kindVariable string, ask askVersion) (*Server, error) {
	addr := strings.TrimSpace(os.Getenv(variable))
	if addr == "" {
		return nil, errNotGiven
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := &Server{Name: name, Addr: addr, Kind: Environment, Origin: Kind(os.Getenv(kindVariable))}
	if s.Origin == StandIn {
		s.Version = standInVersion
		return s, nil
	}
	version, err := ask(ctx, addr)
	if err != nil {
		return nil, fatalError{fmt.Errorf("the server %s that %s names does not answer: %w (unset %s to have one started)", addr, variable, err, variable)}
	}
	s.Version = version
	return s, nil
}

// Environ returns the variables that give s to another process.
func (s *Server) Environ() []string {
	variable, kindVariable := EnvEtcd, EnvEtcdKind
	if s.Name == RedisName {
		variable, kindVariable = EnvRedis, EnvRedisKind
	}
	kind := s.Kind
	if kind == Environment {
		kind = s.Origin
	}
	return []string{variable + "=" + s.Addr, kindVariable + "=" + string(kind)}
}
