package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A Cluster is an etcd of several members, each a process of this machine, with
// a network between them that can be cut. StopAll stops it too.
type Cluster struct {
	Members []*Server
	procs   []*process
	relay   *relay
}

// OwnEtcdCluster starts a cluster of n members that nobody else uses. Another
// process may take a port that was free: then it tries again with others.
func OwnEtcdCluster(ctx context.Context, n int) (*Cluster, error) {
	if errNoSockets != nil {
		return nil, errNoSockets
	}
	binary, err := etcdBinary(ctx)
	if err != nil {
		return nil, err
	}
	for range 3 {
		var c *Cluster
		if c, err = tryCluster(ctx, binary, n); err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	return nil, err
}

func tryCluster(ctx context.Context, binary string, n int) (_ *Cluster, err error) {
	c := new(Cluster)
	if c.relay, err = newRelay(n, c.memberWith); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	peers := make([]string, n)
	for i := range peers {
		peers[i] = fmt.Sprintf("m%d=%s", i, c.relay.urlOf(i))
	}
	for i := range n {
		if err := c.add(binary, i, strings.Join(peers, ",")); err != nil {
			return nil, err
		}
	}
	c.relay.start()
	errs := make([]error, n)
	var starting sync.WaitGroup
	for i, p := range c.procs {
		starting.Go(func() { c.Members[i].Version, errs[i] = p.start(ctx) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// add prepares a member.
func (c *Cluster) add(binary string, i int, peers string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	peerPort, err := freePort()
	if err != nil {
		return err
	}
	dir, err := newDir()
	if err != nil {
		return err
	}
	c.relay.targets[i] = fmt.Sprintf("127.0.0.1:%d", peerPort)
	clients := fmt.Sprintf("http://127.0.0.1:%d", port)
	p := &process{
		spec: processSpec{name: EtcdName, binary: binary, ask: etcdVersion}, dir: dir, addr: fmt.Sprintf("127.0.0.1:%d", port),
		args: []string{
			"--name", fmt.Sprintf("m%d", i), "--data-dir", dir,
			"--listen-client-urls", clients, "--advertise-client-urls", clients,
			"--listen-peer-urls", "http://" + c.relay.targets[i], "--initial-advertise-peer-urls", c.relay.urlOf(i),
			"--initial-cluster", peers, "--log-level", "error",
		},
	}
	c.procs = append(c.procs, p)
	s := p.server("")
	c.Members = append(c.Members, s)
	remember(s)
	return nil
}

// memberWith returns the member that has a connection with this local port.
func (c *Cluster) memberWith(port int) int {
	for i, p := range c.procs {
		p.mu.Lock()
		cmd := p.cmd
		p.mu.Unlock()
		if cmd != nil && hasPort(cmd.Process.Pid, port) {
			return i
		}
	}
	return -1
}

// Isolate drops everything between a member and the others. Clients still reach
// it.
func (c *Cluster) Isolate(member int) { c.relay.isolate(member, true) }

// Rejoin ends Isolate.
func (c *Cluster) Rejoin(member int) { c.relay.isolate(member, false) }

// Leader returns the member that most members take for the leader, and waits
// until there is one.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		votes := make(map[uint64]int)
		ids := make(map[uint64]int)
		for i, m := range c.Members {
			id, leader, err := statusOf(ctx, m.Addr)
			if err == nil {
				ids[id] = i
				votes[leader]++
			}
		}
		for id, n := range votes {
			if member, alive := ids[id]; alive && n > len(c.Members)/2 {
				return member, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("servers: the cluster has no leader: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func statusOf(ctx context.Context, addr string) (member, leader uint64, err error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = client.Close() }() // it has answered, or is down
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	s, err := client.Status(ctx, addr)
	if err != nil {
		return 0, 0, err
	}
	return s.Header.MemberId, s.Leader, nil
}

// Stop stops all members and removes their data.
func (c *Cluster) Stop() error {
	errs := make([]error, len(c.Members))
	var stopping sync.WaitGroup
	for i, m := range c.Members {
		stopping.Go(func() { errs[i] = m.Stop() })
	}
	stopping.Wait()
	c.relay.close()
	return errors.Join(errs...)
}
