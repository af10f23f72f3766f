package servers

import (
	"context"
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
		missing(t, err)
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
		missing(t, err)
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
		missing(t, err)
	}
	defer c.Stop()
	ask := func(member int, d time.Duration, op clientv3.Op) (clientv3.OpResponse, error) {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{c.Members[member].Addr}, Logger: zap.NewNop()})
		if err != nil {
			return clientv3.OpResponse{}, err
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return client.Do(ctx, op)
	}
	// A member gives up what it had sent to a leader that is gone, with an error
	// of its own, and may do so while another is elected.
	inTheEnd := func(member int, op clientv3.Op) (clientv3.OpResponse, error) {
		for {
			resp, err := ask(member, 20*time.Second, op)
			if err == nil || ctx.Err() != nil {
				return resp, err
			}
			t.Logf("member %d: %v", member, err)
		}
	}
	alone, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.Isolate(alone)
	if _, err := ask(alone, 2*time.Second, clientv3.OpPut("k", "minority")); err == nil {
		t.Error("a leader that is cut off from the others confirmed a write")
	}
	other := (alone + 1) % 3
	if _, err := inTheEnd(other, clientv3.OpPut("k", "majority")); err != nil {
		t.Errorf("the majority does not take writes: %v", err)
	}
	if now, err := c.Leader(ctx); err != nil || now == alone {
		t.Errorf("the leader is member %d, %v; %d was cut off", now, err, alone)
	}
	c.Rejoin(alone)
	resp, err := inTheEnd(alone, clientv3.OpGet("k"))
	if err != nil {
		t.Fatalf("after Rejoin: %v", err)
	}
	if kvs := resp.Get().Kvs; len(kvs) != 1 || string(kvs[0].Value) != "majority" {
		t.Errorf("after Rejoin it has %v, and the others wrote %q", kvs, "majority")
	}
	if _, err := inTheEnd(alone, clientv3.OpPut("k", "again")); err != nil {
		t.Errorf("after Rejoin it takes no writes: %v", err)
	}
}

// missing skips a test whose server cannot be had, unless real servers are
// required.
func missing(t *testing.T, err error) {
	t.Helper()
	if Required() != "" {
		t.Fatalf("it is required: %v", err)
	}
	t.Skipf("not on this machine: %v", err)
}
