// Package testbed_test runs the conformance suite over every backend, on real
// servers.
package testbed_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/memlock/memrig"
	"github.com/lockerlib/locker/testbed/remote"
	"github.com/lockerlib/locker/testbed/rigs"
	"github.com/lockerlib/locker/testbed/servers"
)

var set *servers.Set

func TestMain(m *testing.M) {
	remote.Main()
	servers.StopOnSignal()
	var err error
	if set, err = servers.Start(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := set.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestMemory(t *testing.T) { conformance.Run(t, memrig.Maker(true)) }

func TestMemoryInRealTime(t *testing.T) { conformance.Run(t, memrig.Maker(false)) }

func TestEtcdLease(t *testing.T) { onEtcd(t, etcdlock.Lease) }

func TestEtcdSession(t *testing.T) { onEtcd(t, etcdlock.Session) }

func TestRedis(t *testing.T) {
	if set.Redis.IsStandIn() {
		t.Skip("there is no Redis here, only a stand-in, which shows nothing about Redis")
	}
	run(t)(rigs.Redis(set.Redis))
}

func onEtcd(t *testing.T, mode etcdlock.Mode) { run(t)(rigs.Etcd(set.Etcd, mode)) }

func run(t *testing.T) func(rigs.Maker, error) {
	return func(m rigs.Maker, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		conformance.Run(t, m)
	}
}
