package testbed_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/testbed/rigs"
	"github.com/lockerlib/locker/testbed/servers"
)

// A server that stands still for longer than a lease is not held against the
// backend: the check says that it was disturbed, is done again, and passes.
func TestStandstill(t *testing.T) {
	for _, c := range []struct {
		name  string
		own   func(context.Context, servers.Options) (*servers.Server, error)
		maker func(*servers.Server) (rigs.Maker, error)
	}{
		{servers.EtcdName, servers.OwnEtcd, func(s *servers.Server) (rigs.Maker, error) { return rigs.Etcd(s, etcdlock.Lease) }},
		{servers.RedisName, servers.OwnRedis, rigs.Redis},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := c.own(t.Context(), servers.Options{})
			if err != nil && servers.Required() != "" {
				t.Fatal(err)
			}
			if err != nil {
				t.Skipf("not on this machine: %v", err)
			}
			t.Cleanup(func() { s.Stop() })
			m, err := c.maker(s)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Close() })

			// The lease of a hold that N1 watches for many of them runs out.
			lasts := m.Profile().TTL + m.Profile().Slack + time.Second
			stalled := make(chan error, 1)
			go func() {
				time.Sleep(m.Profile().TTL)
				err := s.Pause(t.Context())
				time.Sleep(lasts)
				stalled <- errors.Join(err, s.Resume(context.WithoutCancel(t.Context())))
			}()
			rep, err := conformance.Verify(t.Context(), m, conformance.Only("N1"))
			if pauseErr := <-stalled; pauseErr != nil {
				t.Fatalf("this server cannot be paused: %v", pauseErr)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := rep.Results[0]
			if !r.Verdict.Green() || len(r.Void) == 0 {
				t.Fatalf("a standstill of %v was not noticed, or was held against the backend: %v\n%s", lasts, r.Void, r)
			}
			t.Logf("void: %s", strings.Join(r.Void, "; "))
		})
	}
}
