package servers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A server of one's own is never the one that the environment names: others use
// that.
func TestOwnIsNotThatOfOthers(t *testing.T) {
	t.Setenv(EnvRedis, "127.0.0.1:1")
	s, err := OwnRedis(t.Context(), Options{Args: []string{"--maxmemory", "12345678"}})
	if err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	defer s.Stop()
	client := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer client.Close()
	got, err := client.ConfigGet(t.Context(), "maxmemory").Result()
	if err != nil || got["maxmemory"] != "12345678" {
		t.Errorf("maxmemory is %q, %v: the arguments did not arrive", got, err)
	}
}

func TestSteppedRedis(t *testing.T) {
	r, err := OwnSteppedRedis(t.Context())
	if err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	defer r.Stop()
	client := redis.NewClient(&redis.Options{Addr: r.Addr})
	defer client.Close()
	for _, offset := range []time.Duration{0, time.Hour, -2 * time.Hour} {
		if err := r.Step(offset); err != nil {
			t.Fatal(err)
		}
		now, err := client.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Until(now) - offset; d.Abs() > 10*time.Second {
			t.Errorf("stepped by %v, the server's clock is %v off", offset, d)
		}
	}
}

// A member that is cut off cannot write, the others elect a leader and can, and
// afterwards it has what they wrote.
func TestClusterPartition(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := OwnEtcdCluster(ctx, 3)
	if err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	defer c.Stop()
	put := func(member int, value string, d time.Duration) error {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{c.Members[member].Addr}, Logger: zap.NewNop()})
		if err != nil {
			return err
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		_, err = client.Put(ctx, "k", value)
		return err
	}
	alone, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.Isolate(alone)
	if err := put(alone, "minority", 2*time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a leader that is cut off from the others answered a write: %v", err)
	}
	other := (alone + 1) % 3
	if err := put(other, "majority", 20*time.Second); err != nil {
		t.Errorf("the majority does not take writes: %v", err)
	}
	if now, err := c.Leader(ctx); err != nil || now == alone {
		t.Errorf("the leader is member %d, %v; %d was cut off", now, err, alone)
	}
	c.Rejoin(alone)
	if err := put(alone, "again", 20*time.Second); err != nil {
		t.Errorf("after Rejoin: %v", err)
	}
}
