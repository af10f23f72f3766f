package rigs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/testbed/foreign"
	"github.com/lockerlib/locker/testbed/servers"
)

// Foreign returns a maker of rigs whose clients are those of another library:
// the same server, proxies and processes as our own backends have, and nothing
// declared beyond what the library does not offer at all.
func Foreign(s *servers.Server, l foreign.Library) (Maker, error) {
	var (
		inner Maker
		err   error
	)
	if l.Servers == servers.EtcdName {
		inner, err = Etcd(s, etcdlock.Lease)
	} else {
		inner, err = Redis(s)
	}
	if err != nil {
		return nil, err
	}
	p := inner.Profile()
	p.Backend, p.Server = l.Name, fmt.Sprintf("%s %s on %s", l.Module, version(l.Module), s)
	p.FIFO, p.Withholds = l.FIFO, l.Withholds
	p.Without = map[conformance.Power]string{
		conformance.PowerSuspend: "the library reads the clock itself",
		conformance.PowerShare:   "the adapter opens the client of each Locker",
		conformance.PowerPlant:   "every key that begins with its name is the library's",
		conformance.PowerPrefix:  "the adapter puts a prefix before every name; the library has none",
	}
	return &foreignMaker{Maker: inner, library: l, profile: p}, nil
}

// version is that of a module that this program was built with.
func version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		if i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module }); i >= 0 {
			return info.Deps[i].Version
		}
	}
	return "of unknown version"
}

type foreignMaker struct {
	Maker
	library foreign.Library
	profile conformance.Profile
}

// Pulse is that of the maker for our own backend on this server.
func (m *foreignMaker) Pulse(ctx context.Context) error {
	return m.Maker.(conformance.Pulser).Pulse(ctx)
}

func (m *foreignMaker) Profile() conformance.Profile { return m.profile }

func (m *foreignMaker) Make(ctx context.Context) (conformance.Rig, error) {
	made, err := m.Maker.Make(ctx)
	if err != nil {
		return nil, err
	}
	switch r := made.(type) {
	case *etcdRig:
		r.url = func(addr string) string { return m.library.URL(addr, r.prefix) }
		return &foreignRig{r, r, r, r, r, r, r, r, r, func(ctx context.Context, name string) (int64, error) {
			first, err := r.admin.Get(ctx, m.library.Key(r.prefix, name), append(clientv3.WithFirstCreate(), clientv3.WithPrefix())...)
			if err != nil || len(first.Kvs) == 0 {
				return 0, err
			}
			gone, err := r.admin.Delete(ctx, string(first.Kvs[0].Key))
			if err != nil {
				return 0, err
			}
			return gone.Deleted, nil
		}}, nil
	case *redisRig:
		r.url = func(addr string) string { return m.library.URL(addr, r.prefix) }
		return &foreignRig{r, r, r, r, r, r, r, r, r, func(ctx context.Context, name string) (int64, error) {
			return r.admin.Del(ctx, m.library.Key(r.prefix, name)).Result()
		}}, nil
	}
	return nil, errors.Join(fmt.Errorf("rigs: no foreign library runs on a %T", made), made.Close())
}

// foreignRig has of our own rigs what does not depend on our own code in the
// clients.
type foreignRig struct {
	conformance.Rig
	conformance.Linker
	conformance.Crasher
	conformance.Observer
	conformance.Spawner
	conformance.LossCounter
	conformance.Resetter
	conformance.HalfOpener
	conformance.Staller
	remove func(ctx context.Context, name string) (int64, error) // the key of a hold
}

var _ conformance.Evictor = (*foreignRig)(nil)

// Evict deletes the key of the hold of name.
func (r *foreignRig) Evict(ctx context.Context, name string) error {
	n, err := r.remove(ctx, name)
	if err == nil && n == 0 {
		err = fmt.Errorf("nobody holds %q", name)
	}
	if err != nil {
		return fmt.Errorf("rigs: %w", err)
	}
	return nil
}
