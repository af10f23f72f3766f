package servers

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// An askVersion asks the server at addr for its version. That it answers shows
// that it works.
type askVersion func(ctx context.Context, addr string) (string, error)

func etcdVersion(ctx context.Context, addr string) (string, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }() // it has answered, or never will
	status, err := client.Status(ctx, addr)
	if err != nil {
		return "", err
	}
	// Status is answered by a member that has no leader yet; a read is not.
	if _, err := client.Get(ctx, "\x00"); err != nil {
		return "", err
	}
	return status.Version, nil
}

func redisVersion(ctx context.Context, addr string) (string, error) {
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }() // it has answered, or never will
	version, err := RedisInfo(ctx, client, "server", "redis_version")
	if err == nil && version == "" {
		err = fmt.Errorf("%s does not tell the version of Redis", addr)
	}
	return version, err
}

// RedisInfo takes a field out of a section of INFO, or gives "" if it is not
// there.
func RedisInfo(ctx context.Context, client *redis.Client, section, field string) (string, error) {
	info, err := client.Info(ctx, section).Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", nil
}

// startTimeout bounds how long a started server may take to answer.
const startTimeout = 30 * time.Second

// awaitReady asks each of the addresses in turn until one answers, ended says
// that the server is gone, or the time is up. Several addresses are given where
// it depends on the machine how a container is reached.
func awaitReady(ctx context.Context, ask askVersion, ended <-chan struct{}, addrs ...string) (addr, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	for {
		for _, addr := range addrs {
			attempt, done := context.WithTimeout(ctx, time.Second)
			version, err := askIfOpen(attempt, ask, addr)
			done()
			if err == nil {
				return firstThat(ctx, ask, addrs, addr), version, nil
			}
			last = err
		}
		select {
		case <-ended:
			return "", "", fmt.Errorf("it ended before it answered: %w", last)
		case <-ctx.Done():
			return "", "", fmt.Errorf("it does not answer at %s: %w", strings.Join(addrs, " or "), last)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// firstThat returns the first of addrs that answers now that the server does:
// the earlier ones are better, and may only have been asked too soon.
func firstThat(ctx context.Context, ask askVersion, addrs []string, answered string) string {
	for _, addr := range addrs {
		if addr == answered {
			break
		}
		attempt, done := context.WithTimeout(ctx, time.Second)
		_, err := askIfOpen(attempt, ask, addr)
		done()
		if err == nil {
			return addr
		}
	}
	return answered
}

// askIfOpen spares clients with retries of their own a port where nobody
// listens.
func askIfOpen(ctx context.Context, ask askVersion, addr string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	_ = conn.Close() // it only showed that somebody listens
	return ask(ctx, addr)
}
