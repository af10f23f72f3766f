package rigs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/testbed/proxy"
	"github.com/lockerlib/locker/testbed/servers"
)

// EtcdTTL is the shortest lease that etcd grants with default settings.
const EtcdTTL = 2 * time.Second

// EtcdSlack is how late etcd may end a lease: it looks every 500 ms, and then
// commits the deletion.
const EtcdSlack = time.Second

// Etcd returns a maker of rigs on an etcd, for one mode of etcdlock.
func Etcd(s *servers.Server, mode etcdlock.Mode) (Maker, error) {
	return newEtcdMaker(s, mode, etcdName(mode))
}

// EtcdCluster is Etcd for an etcd of three members, all of which the clients
// know.
func EtcdCluster(s *servers.Server, mode etcdlock.Mode) (Maker, error) {
	return newEtcdMaker(s, mode, etcdClusterName(mode))
}

func etcdName(mode etcdlock.Mode) string        { return "etcd " + mode.String() }
func etcdClusterName(mode etcdlock.Mode) string { return etcdName(mode) + ", 3 nodes" }

func newEtcdMaker(s *servers.Server, mode etcdlock.Mode, name string) (Maker, error) {
	admin, err := clientv3.New(clientv3.Config{Endpoints: s.Addresses(), Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("rigs: %w", err)
	}
	profile := conformance.Profile{
		Backend: name,
		Server:  s.String(),
		TTL:     EtcdTTL,
		Slack:   EtcdSlack,
		FIFO:    true,
	}
	if mode == etcdlock.Session {
		profile.GivesWay = sessionGivesWay
	}
	return &etcdMaker{server: s, mode: mode, admin: admin, profile: profile}, nil
}

type etcdMaker struct {
	server  *servers.Server
	mode    etcdlock.Mode
	admin   *clientv3.Client // goes to the server directly
	profile conformance.Profile
}

var _ conformance.Pulser = (*etcdMaker)(nil)

func (m *etcdMaker) Profile() conformance.Profile { return m.profile }

// Pulse deletes a key that is not there: a majority orders that and has it on
// its disks, and nothing is changed by it.
func (m *etcdMaker) Pulse(ctx context.Context) error {
	_, err := m.admin.Delete(ctx, "no such key")
	return err
}

func (m *etcdMaker) Close() error { return m.admin.Close() }

func (m *etcdMaker) Make(context.Context) (conformance.Rig, error) {
	return newEtcdRig(m.mode, m.admin, m.server.Addresses()...), nil
}

func newEtcdRig(mode etcdlock.Mode, admin *clientv3.Client, addrs ...string) *etcdRig {
	r := &etcdRig{rig: newRig(proxy.HTTP2, addrs...), mode: mode, admin: admin}
	r.url = func(addrs string) string {
		return fmt.Sprintf("etcd://%s/%s?mode=%s", addrs, url.PathEscape(r.prefix), mode)
	}
	r.urlUnder = func(addrs, prefix string) string {
		return fmt.Sprintf("etcd://%s/%s?mode=%s", addrs, url.PathEscape(r.prefix+"/"+prefix), mode)
	}
	r.onReply = r.granted
	return r
}

type etcdRig struct {
	*rig
	mode  etcdlock.Mode
	admin *clientv3.Client

	leasesMu sync.Mutex // guards leases
	leases   map[clientv3.LeaseID]bool
}

var (
	_ conformance.Linker    = (*etcdRig)(nil)
	_ conformance.Crasher   = (*etcdRig)(nil)
	_ conformance.Evictor   = (*etcdRig)(nil)
	_ conformance.Observer  = (*etcdRig)(nil)
	_ conformance.Spawner   = (*etcdRig)(nil)
	_ conformance.Shared    = (*etcdRig)(nil)
	_ conformance.Suspender = (*etcdRig)(nil)
	_ conformance.Planter   = (*etcdRig)(nil)

	_ conformance.LossCounter = (*etcdRig)(nil)
	_ conformance.Prefixer    = (*etcdRig)(nil)
	_ conformance.WallStepper = (*etcdRig)(nil)
)

// granted notes the leases that the server granted to clients of this rig. A
// list of all leases of a shared server would not tell whose they are; the
// answers that pass the rig's proxies do, those included that a fault kept from
// the client.
func (r *etcdRig) granted(method string, message []byte) {
	if method != pb.Lease_LeaseGrant_FullMethodName {
		return
	}
	var answer pb.LeaseGrantResponse
	if err := proto.Unmarshal(message, &answer); err != nil || answer.ID == 0 {
		return
	}
	r.leasesMu.Lock()
	defer r.leasesMu.Unlock()
	if r.leases == nil {
		r.leases = make(map[clientv3.LeaseID]bool)
	}
	r.leases[clientv3.LeaseID(answer.ID)] = true
}

// space is what all keys of this rig begin with.
func (r *etcdRig) space() string { return r.prefix + "//" }

// Residue lists keys, leases and connections.
func (r *etcdRig) Residue(ctx context.Context) ([]string, error) {
	keys, err := r.admin.Get(ctx, r.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("rigs: listing keys: %w", err)
	}
	lines := r.connections()
	for _, kv := range keys.Kvs {
		if !r.isPlanted(string(kv.Key)) {
			lines = append(lines, fmt.Sprintf("key: %q", strings.TrimPrefix(string(kv.Key), r.prefix)))
		}
	}
	r.leasesMu.Lock()
	leases := make([]clientv3.LeaseID, 0, len(r.leases))
	for id := range r.leases {
		leases = append(leases, id)
	}
	r.leasesMu.Unlock()
	for _, id := range leases {
		left, err := r.admin.TimeToLive(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("rigs: asking for lease %x: %w", id, err)
		}
		if left.TTL >= 0 { // -1: the lease is gone
			lines = append(lines, fmt.Sprintf("lease: %x, %d s left of %d s", id, left.TTL, left.GrantedTTL))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

// Evict deletes the key of the claim that holds name.
func (r *etcdRig) Evict(ctx context.Context, name string) error {
	line := r.space() + "v1/" + escape(name) + "/"
	first, err := r.admin.Get(ctx, line, append(clientv3.WithFirstCreate(), clientv3.WithPrefix())...)
	if err != nil {
		return fmt.Errorf("rigs: %w", err)
	}
	if len(first.Kvs) == 0 {
		return fmt.Errorf("rigs: nobody holds %q", name)
	}
	gone, err := r.admin.Delete(ctx, string(first.Kvs[0].Key))
	if err != nil {
		return fmt.Errorf("rigs: %w", err)
	}
	if gone.Deleted == 0 {
		return fmt.Errorf("rigs: the hold of %q ended by itself", name)
	}
	return nil
}

// escape is the form of a name in the keys of etcdlock.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c == '%' || c == '/' || c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// OpenShared opens a Locker over a client of the rig.
func (r *etcdRig) OpenShared(_ context.Context, opts ...locker.OpenOption) (locker.Locker, func(context.Context) error, error) {
	var client *clientv3.Client
	l, err := r.lend(func(addrs string) (_ locker.Locker, _ func() error, err error) {
		client, err = clientv3.New(clientv3.Config{Endpoints: strings.Split(addrs, ","), Logger: zap.NewNop()})
		if err != nil {
			return nil, nil, fmt.Errorf("rigs: %w", err)
		}
		l, err := etcdlock.New(client, slices.Concat([]locker.OpenOption{
			etcdlock.WithPrefix(r.prefix), etcdlock.WithMode(r.mode),
		}, opts)...)
		if err != nil {
			return nil, nil, errors.Join(err, client.Close())
		}
		return l, client.Close, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return l, func(ctx context.Context) error {
		_, err := client.Get(ctx, r.prefix)
		return err
	}, nil
}

// Plant puts keys before, after and in between those of the library.
func (r *etcdRig) Plant(ctx context.Context) (func(context.Context) error, error) {
	keys := []string{
		r.prefix, r.prefix + "/", r.prefix + "/config", r.prefix + "0",
		r.space(), r.space() + "v1", r.space() + "v1/", r.space() + "v1/loose", r.space() + "v2/x/y",
	}
	for _, key := range keys {
		r.plant(key)
		if _, err := r.admin.Put(ctx, key, planted); err != nil {
			return nil, fmt.Errorf("rigs: %w", err)
		}
	}
	return func(ctx context.Context) error {
		for _, key := range keys {
			got, err := r.admin.Get(ctx, key)
			if err != nil {
				return fmt.Errorf("rigs: %w", err)
			}
			if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != planted {
				return fmt.Errorf("the key %q, which is not the library's, was changed or deleted", key)
			}
		}
		return nil
	}, nil
}

const planted = "not the library's"

// Close also removes what is left: the server may be shared.
func (r *etcdRig) Close() error {
	err := r.rig.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, delErr := r.admin.Delete(ctx, r.prefix, clientv3.WithPrefix())
	return errors.Join(err, delErr)
}
