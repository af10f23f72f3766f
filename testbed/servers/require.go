package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// EnvRequire lists the servers that must be real, for instance "etcd,redis", or
// "redis=container" to insist on where it comes from: environment, container,
// local binary, embedded. With CI=true the default is "etcd,redis", else
// nothing.
const EnvRequire = "LOCKER_REQUIRE"

// Required returns what EnvRequire or CI demand.
func Required() string {
	if s, set := os.LookupEnv(EnvRequire); set {
		return s
	}
	if ci, err := strconv.ParseBool(os.Getenv("CI")); err == nil && ci {
		return "etcd,redis"
	}
	return ""
}

// Check returns an error unless used has all servers that are required. A
// stand-in is never counted.
func Check(used ...*Server) error {
	var errs []error
	for want := range strings.SplitSeq(Required(), ",") {
		if want = strings.TrimSpace(want); want == "" {
			continue
		}
		if err := check(want, used); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func check(want string, used []*Server) error {
	name, kind, _ := strings.Cut(want, "=")
	if !strings.EqualFold(name, EtcdName) && !strings.EqualFold(name, RedisName) {
		return fmt.Errorf("servers: %s: %q is neither etcd nor redis", EnvRequire, name)
	}
	for _, s := range used {
		if s == nil || !strings.EqualFold(s.Name, name) {
			continue
		}
		switch {
		case s.IsStandIn():
			return fmt.Errorf("servers: a real %s is required (%s or CI), and there is %s", s.Name, EnvRequire, s)
		case !strings.HasPrefix(string(s.Kind), kind) && !strings.HasPrefix(string(s.Origin), kind):
			return fmt.Errorf("servers: %s requires %s, and %s is used", EnvRequire, want, s)
		}
		return nil
	}
	return fmt.Errorf("servers: a real %s is required (%s or CI), and none was had", name, EnvRequire)
}

// A Set is an etcd and a Redis.
type Set struct {
	Etcd  *Server
	Redis *Server
}

// Start gets both servers, tells log which, and checks them against what is
// required. On an error nothing is left running.
func Start(ctx context.Context, log io.Writer) (*Set, error) {
	etcd, err := Etcd(ctx, log)
	if err != nil {
		return nil, err
	}
	redis, err := Redis(ctx, log)
	if err != nil {
		return nil, errors.Join(err, etcd.Stop())
	}
	set := &Set{Etcd: etcd, Redis: redis}
	if err := Check(etcd, redis); err != nil {
		return nil, errors.Join(err, set.Stop())
	}
	return set, nil
}

// Stop stops both.
func (s *Set) Stop() error { return errors.Join(s.Etcd.Stop(), s.Redis.Stop()) }

// Environ returns the variables that give both to another process. A stand-in
// is not given: tests that ask for a Redis would take it for one.
func (s *Set) Environ() []string {
	env := s.Etcd.Environ()
	if !s.Redis.IsStandIn() {
		env = append(env, s.Redis.Environ()...)
	}
	return env
}
