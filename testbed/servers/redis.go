package servers

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/moby/moby/client"

	"github.com/lockerlib/locker/testbed/images"
)

func redisSources(o Options) []source {
	return []source{
		{Environment, func(ctx context.Context) (*Server, error) {
			return fromEnvironment(ctx, RedisName, EnvRedis, EnvRedisKind, redisVersion)
		}},
		{ContainerImage, func(ctx context.Context) (*Server, error) {
			return inContainer(ctx, func(ctx context.Context, d *client.Client) (string, error) {
				return images.Public(ctx, d, images.RedisPublic)
			}, redisContainer(ContainerImage, "redis-server", o))
		}},
		{ContainerBuilt, func(ctx context.Context) (*Server, error) {
			return inContainer(ctx, func(ctx context.Context, d *client.Client) (string, error) {
				binary, err := redisBinary()
				if err != nil {
					return "", err
				}
				return images.Redis(ctx, d, binary)
			}, redisContainer(ContainerBuilt, "/redis-server", o))
		}},
		{LocalBinary, func(ctx context.Context) (*Server, error) { return localRedis(ctx, o) }},
		{StandIn, standIn},
	}
}

// redisArgs switches every kind of persistence off: what survives a restart is
// then known.
func redisArgs(host string, port int, dir string) []string {
	return []string{
		"--bind", host, "--protected-mode", "no", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no", "--dir", dir,
	}
}

func redisContainer(kind Kind, entrypoint string, o Options) containerSpec {
	const port = 6379
	return containerSpec{
		name: RedisName, kind: kind, entrypoint: entrypoint, port: port, ask: redisVersion, apart: o.Apart,
		args: append(redisArgs("0.0.0.0", port, "/tmp"), o.Args...),
	}
}

func redisBinary() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("redis-server is not in the PATH (\"make deps\" installs it where it may)")
	}
	return path, nil
}

func localRedis(ctx context.Context, o Options) (*Server, error) {
	binary, err := redisBinary()
	if err != nil {
		return nil, err
	}
	return startProcess(ctx, processSpec{
		name: RedisName, binary: binary, ask: redisVersion, env: o.env,
		args: func(port, _ int, dir string) []string {
			return append(redisArgs("127.0.0.1", port, dir), o.Args...)
		},
	})
}

// standInVersion is given instead of a version of Redis.
const standInVersion = "miniredis"

// standInTick is how exactly the stand-in expires keys.
const standInTick = 5 * time.Millisecond

// standIn runs miniredis, whose time stands still unless it is told otherwise.
func standIn(context.Context) (*Server, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(standInTick)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	})
	return &Server{
		Name: RedisName, Addr: m.Addr(), Kind: StandIn, Version: standInVersion,
		powers: Powers{stop: func() error {
			close(stop)
			ticking.Wait()
			m.Close()
			return nil
		}},
	}, nil
}
