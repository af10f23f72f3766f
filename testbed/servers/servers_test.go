package servers

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/lockerlib/locker/testbed/images"
)

// Each way of getting a server works where the machine has it, answers as the
// server it says it is, and leaves nothing behind.
func TestSources(t *testing.T) {
	for _, server := range []struct {
		name    string
		sources []source
	}{{EtcdName, etcdSources(Options{})}, {RedisName, redisSources(Options{})}} {
		for _, src := range server.sources {
			t.Run(server.name+"/"+string(src.kind), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				s, err := src.start(ctx)
				if err != nil {
					t.Skipf("not on this machine: %v", err)
				}
				t.Log(s)
				if s.Name != server.name || s.Kind != src.kind {
					t.Errorf("got %s, want a %s of kind %s", s, server.name, src.kind)
				}
				if got, want := s.IsStandIn(), s.Kind == StandIn; got != want && s.Origin == "" {
					t.Errorf("IsStandIn() = %v for %s", got, s)
				}
				if err := write(ctx, s, "k", "v"); err != nil {
					t.Errorf("write: %v", err)
				}
				if err := s.Stop(); err != nil {
					t.Errorf("Stop: %v", err)
				}
				if err := s.Stop(); err != nil {
					t.Errorf("second Stop: %v", err)
				}
				nothingLeft(t)
			})
		}
	}
}

// A server can be stopped, continued, killed and started again at the same
// address; etcd keeps its data.
func TestPowers(t *testing.T) {
	for _, server := range []struct {
		name    string
		sources []source
	}{{EtcdName, etcdSources(Options{})}, {RedisName, redisSources(Options{})}} {
		for _, src := range server.sources {
			if src.kind != ContainerBuilt && src.kind != LocalBinary {
				continue
			}
			t.Run(server.name+"/"+string(src.kind), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				s, err := src.start(ctx)
				if err != nil {
					t.Skipf("not on this machine: %v", err)
				}
				defer s.Stop()
				if err := write(ctx, s, "k", "before"); err != nil {
					t.Fatal(err)
				}
				if err := s.Pause(ctx); err != nil {
					t.Fatal("Pause:", err)
				}
				short, done := context.WithTimeout(ctx, 300*time.Millisecond)
				if err := write(short, s, "k", "paused"); err == nil {
					t.Error("a paused server answered")
				}
				done()
				if err := s.Resume(ctx); err != nil {
					t.Fatal("Resume:", err)
				}
				if err := write(ctx, s, "k", "resumed"); err != nil {
					t.Fatal("after Resume:", err)
				}
				if err := s.Kill(ctx); err != nil {
					t.Fatal("Kill:", err)
				}
				if err := s.Restart(ctx); err != nil {
					t.Fatal("Restart:", err)
				}
				got, err := read(ctx, s, "k")
				if err != nil {
					t.Fatal("after Restart:", err)
				}
				if want := map[string]string{EtcdName: "resumed", RedisName: ""}[s.Name]; got != want {
					t.Errorf("after a restart k is %q, want %q", got, want)
				}
			})
		}
	}
}

// A server that is named and does not answer is an error: looking elsewhere
// would test something else than was asked for.
func TestNamedServerMustAnswer(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvRedis, "127.0.0.1:"+strconv.Itoa(port))
	var log bytes.Buffer
	s, err := Redis(t.Context(), &log)
	if err == nil {
		s.Stop()
		t.Fatalf("got %s", s)
	}
	if !strings.Contains(err.Error(), EnvRedis) {
		t.Errorf("the error does not name the variable: %v", err)
	}
}

func TestStandInIsNeverCounted(t *testing.T) {
	t.Setenv("CI", "true")
	etcd := &Server{Name: EtcdName, Kind: Embedded}
	for _, standIn := range []*Server{
		{Name: RedisName, Kind: StandIn},
		{Name: RedisName, Kind: Environment, Origin: StandIn},
	} {
		if err := Check(etcd, standIn); err == nil || !strings.Contains(err.Error(), "stand-in") {
			t.Errorf("Check(%s) = %v", standIn, err)
		}
	}
	if err := Check(etcd, &Server{Name: RedisName, Kind: LocalBinary}); err != nil {
		t.Error(err)
	}
	if err := Check(etcd); err == nil {
		t.Error("a missing Redis was not noticed")
	}
	t.Setenv(EnvRequire, "redis=container")
	if err := Check(&Server{Name: RedisName, Kind: LocalBinary}); err == nil {
		t.Error("a local binary passed for a container")
	}
	if err := Check(&Server{Name: RedisName, Kind: ContainerBuilt}); err != nil {
		t.Error(err)
	}
	t.Setenv(EnvRequire, "postgres")
	if err := Check(); err == nil {
		t.Error("an unknown server was required and nobody noticed")
	}
}

func TestOwner(t *testing.T) {
	me := self()
	if me.dead() {
		t.Error("this process is taken for dead")
	}
	back, ok := parseOwner(me.String())
	if !ok || back != me {
		t.Errorf("parseOwner(%q) = %v, %v", me, back, ok)
	}
	before := me
	before.start = "1"
	if startOf(me.pid) != "0" && !before.dead() {
		t.Error("an earlier process with the same ID is taken for alive")
	}
	elsewhere := before
	elsewhere.host = "another-machine"
	if elsewhere.dead() {
		t.Error("a process of another machine is taken for dead")
	}
	if _, ok := parseOwner("garbage"); ok {
		t.Error("garbage was parsed")
	}
}

func write(ctx context.Context, s *Server, key, value string) error {
	if s.Name == EtcdName {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Addr}, Logger: zap.NewNop()})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Put(ctx, key, value)
		return err
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr, ContextTimeoutEnabled: true})
	defer c.Close()
	return c.Set(ctx, key, value, 0).Err()
}

func read(ctx context.Context, s *Server, key string) (string, error) {
	if s.Name == EtcdName {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Addr}, Logger: zap.NewNop()})
		if err != nil {
			return "", err
		}
		defer c.Close()
		r, err := c.Get(ctx, key)
		if err != nil || len(r.Kvs) == 0 {
			return "", err
		}
		return string(r.Kvs[0].Value), nil
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer c.Close()
	v, err := c.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return v, err
}

// nothingLeft fails the test if a container, a network or a folder of this process is
// still there.
func nothingLeft(t *testing.T) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+self().String()+"_*"))
	if err != nil || len(dirs) > 0 {
		t.Errorf("folders left: %v %v", dirs, err)
	}
	d, err := images.Docker(t.Context())
	if err != nil {
		return // no Docker, no containers
	}
	defer d.Close()
	list, err := d.ContainerList(t.Context(), client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", ownerLabel+"="+self().String()),
	})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("containers left: %v %v", list.Items, err)
	}
	networks, err := d.NetworkList(t.Context(), client.NetworkListOptions{
		Filters: make(client.Filters).Add("label", ownerLabel+"="+self().String()),
	})
	if err != nil || len(networks.Items) > 0 {
		t.Errorf("networks left: %v %v", networks.Items, err)
	}
}
