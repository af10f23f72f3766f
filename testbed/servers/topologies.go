package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// AOF has Redis write each change to a file and the file to the disk before it
// answers. With "everysec" a hold outlives the death of the process all the
// same; only "always" goes on being true when the machine dies.
func AOF() []string { return []string{"--appendonly", "yes", "--appendfsync", "always"} }

// EtcdCluster starts an etcd of several members for this process alone, each a
// process of this machine, and tells log which.
func EtcdCluster(ctx context.Context, log io.Writer) (*Server, error) {
	const size = 3
	c, err := OwnEtcdCluster(ctx, size)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Name: EtcdName, Addr: c.Members[0].Addr, Kind: c.Members[0].Kind, Version: c.Members[0].Version,
		Setup: fmt.Sprintf("of %d members", size), powers: Powers{stop: c.Stop},
	}
	for _, m := range c.Members {
		s.members = append(s.members, m.Addr)
	}
	return started(s, log), nil
}

// RedisAOF starts a Redis with an append-only file (see AOF) for this process
// alone, and tells log which.
func RedisAOF(ctx context.Context, log io.Writer) (*Server, error) {
	s, err := OwnRedis(ctx, Options{Args: AOF()})
	if err != nil {
		return nil, err
	}
	s.Setup = "with AOF, appendfsync always"
	return started(s, log), nil
}

// RedisWithReplica starts a Redis with one replica for this process alone, both
// processes of this machine, and tells log which. Clients use the primary; its
// min-replicas-to-write is 0, the default, so that it waits for nobody.
func RedisWithReplica(ctx context.Context, log io.Writer) (*Server, error) {
	primary, replica, err := OwnRedisPair(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Name: RedisName, Addr: primary.Addr, Kind: primary.Kind, Version: primary.Version,
		Setup:  "with a replica, min-replicas-to-write 0",
		powers: Powers{stop: func() error { return errors.Join(replica.Stop(), primary.Stop()) }},
	}
	if err := Replicate(ctx, replica, primary.Addr); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return started(s, log), nil
}

func started(s *Server, log io.Writer) *Server {
	remember(s)
	fmt.Fprintf(log, "servers: using %s\n", s)
	return s
}

// OwnRedisPair starts two Redis that nobody else uses, as processes of this
// machine. They do not know of each other before Replicate.
func OwnRedisPair(ctx context.Context) (primary, replica *Server, err error) {
	if primary, err = OwnRedis(ctx, Options{Local: true, Args: []string{"--repl-diskless-sync-delay", "0"}}); err != nil {
		return nil, nil, err
	}
	if replica, err = OwnRedis(ctx, Options{Local: true}); err != nil {
		return nil, nil, errors.Join(err, primary.Stop())
	}
	return primary, replica, nil
}

// Replicate makes a Redis the replica of the one at from (host:port), and
// returns when it has its data.
func Replicate(ctx context.Context, replica *Server, from string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: replica.Addr})
	defer func() { _ = client.Close() }() // it has answered, or never will
	host, port, err := net.SplitHostPort(from)
	if err != nil {
		return err
	}
	if err := client.ReplicaOf(ctx, host, port).Err(); err != nil {
		return fmt.Errorf("servers: making %s a replica: %w", replica, err)
	}
	for {
		link, err := RedisInfo(ctx, client, "replication", "master_link_status")
		if link == "up" {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("servers: %s got no data from %s: %w", replica, from, context.Cause(ctx)), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
