package servers

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Each is what it says, also to people, and nothing of it is left after Stop.
func TestTopologies(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(context.Context, io.Writer) (*Server, error)
		says  string
		is    func(ctx context.Context, s *Server) (bool, error)
	}{
		{"cluster", EtcdCluster, "of 3 members", func(ctx context.Context, s *Server) (bool, error) {
			c, err := clientv3.New(clientv3.Config{Endpoints: s.Addresses(), Logger: zap.NewNop()})
			if err != nil {
				return false, err
			}
			defer c.Close()
			members, err := c.MemberList(ctx)
			return err == nil && len(members.Members) == 3 && len(s.Addresses()) == 3, err
		}},
		{"AOF", RedisAOF, "with AOF", func(ctx context.Context, s *Server) (bool, error) {
			c := redis.NewClient(&redis.Options{Addr: s.Addr})
			defer c.Close()
			got, err := c.ConfigGet(ctx, "append*").Result()
			return got["appendonly"] == "yes" && got["appendfsync"] == "always", err
		}},
		{"replica", RedisWithReplica, "with a replica", func(ctx context.Context, s *Server) (bool, error) {
			c := redis.NewClient(&redis.Options{Addr: s.Addr})
			defer c.Close()
			if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
				return false, err
			}
			n, err := c.Wait(ctx, 1, 10*time.Second).Result()
			return n == 1, err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var log strings.Builder
			s, err := test.start(ctx, &log)
			if err != nil {
				missing(t, err)
			}
			defer s.Stop()
			if is, err := test.is(ctx, s); !is || err != nil {
				t.Errorf("it is not what it says: %v, %v", is, err)
			}
			if !strings.Contains(s.String(), test.says) || !strings.Contains(log.String(), s.String()) {
				t.Errorf("it is called %q, and the log says %q", s, &log)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			for _, addr := range s.Addresses() {
				if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
					c.Close()
					t.Errorf("%s still listens after Stop", addr)
				}
			}
		})
	}
}

// A port that is given to a server is none that a client may be given.
func TestFreePortIsNotOutgoing(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	if first := firstOutgoing(); first > 20_000 && port >= first {
		t.Errorf("port %d is given to outgoing connections too, from %d on", port, first)
	}
}
