package etcdlock

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// openFails opens a URL that must not open, and returns the error.
func openFails(ctx context.Context, t *testing.T, url string) error {
	t.Helper()
	l, err := locker.Open(ctx, url)
	if err == nil {
		_ = l.Close()
		t.Fatal("it opened")
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error contains the password: %v", err)
	}
	return err
}

func wantError(t *testing.T, err, is error, texts ...string) {
	t.Helper()
	if is != nil && !errors.Is(err, is) {
		t.Errorf("%v is not %v", err, is)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not say %q", err, s)
		}
	}
}

func TestOpenUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	start := time.Now()
	err = openFails(testContext(t), t, "etcd://root:secret@"+addr+"/p")
	wantError(t, err, locker.ErrUnavailable, addr, "refused")
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

// A server that accepts and never answers.
func TestOpenBlackhole(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	for _, url := range []string{"etcd://" + addr, "etcd://root:secret@" + addr, "etcds://" + addr} {
		err := openFails(testContext(t), t, url+"/p?dial_timeout=300ms")
		wantError(t, err, locker.ErrUnavailable, addr)

		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		start := time.Now()
		err = openFails(ctx, t, url+"/p")
		cancel()
		wantError(t, err, locker.ErrUnavailable, addr)
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: a context of 200 ms was kept for %v", url, d)
		}
	}
}

// authServer refuses every password, as etcd does.
type authServer struct{ pb.UnimplementedAuthServer }

func (authServer) Authenticate(context.Context, *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	return nil, rpctypes.ErrGRPCAuthFailed
}

// kvServer demands a user, as etcd with authentication does.
type kvServer struct{ pb.UnimplementedKVServer }

func (kvServer) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return nil, rpctypes.ErrGRPCUserEmpty
}

func serve(t *testing.T, opts ...grpc.ServerOption) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	pb.RegisterAuthServer(s, authServer{})
	pb.RegisterKVServer(s, kvServer{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func TestOpenWrongPassword(t *testing.T) {
	addr := serve(t)
	err := openFails(testContext(t), t, "etcd://root:secret@"+addr+"/p")
	wantError(t, err, nil, addr, "password", "check")
	if errors.Is(err, locker.ErrUnavailable) || errors.Is(err, locker.ErrInvalid) {
		t.Errorf("a wrong password is final: %v", err)
	}
	err = openFails(testContext(t), t, "etcd://"+addr+"/p")
	wantError(t, err, nil, addr, "demands a user")
}

func TestOpenTLSMismatch(t *testing.T) {
	cert, key := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	secure := serve(t, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	plain := serve(t)

	err = openFails(testContext(t), t, "etcd://"+secure+"/p?dial_timeout=500ms")
	wantError(t, err, locker.ErrUnavailable, secure, "etcds://")
	err = openFails(testContext(t), t, "etcds://"+plain+"/p")
	wantError(t, err, locker.ErrUnavailable, plain, "does not speak TLS")
	err = openFails(testContext(t), t, "etcds://"+secure+"/p")
	wantError(t, err, locker.ErrUnavailable, secure, "certificate")

	// With the right certificate the server is asked, and answers.
	err = openFails(testContext(t), t, "etcd://"+secure+"/p?ca="+cert)
	wantError(t, err, nil, secure, "demands a user")
}

func TestNewInvalid(t *testing.T) {
	unconnected := clientv3.NewCtxClient(testContext(t))
	for name, f := range map[string]func() (locker.Locker, error){
		"nil client":    func() (locker.Locker, error) { return New(nil) },
		"no connection": func() (locker.Locker, error) { return New(unconnected) },
	} {
		if _, err := f(); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, opt := range map[string]locker.OpenOption{
		"nil option": nil, "empty prefix": WithPrefix(""), "prefix": WithPrefix("a//b"), "mode": WithMode(7),
		"foreign": locker.WithBackend("x", 1),
	} {
		if _, err := New(client, opt); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenAndClose(t *testing.T) {
	addr := endpoint(t)
	for _, mode := range []string{"lease", "session"} {
		t.Run(mode, func(t *testing.T) {
			pfx := prefix(t)
			l, err := locker.Open(testContext(t), "etcd://"+addr+"/"+escape(pfx)+"?ttl=7s&mode="+mode)
			if err != nil {
				t.Fatal(err)
			}
			el, ok := locker.As[*Locker](l)
			if !ok || el.EtcdPrefix() != pfx || el.EtcdClient() == nil {
				t.Fatalf("%T: prefix %q", l, el.EtcdPrefix())
			}
			lock, err := l.Acquire(testContext(t), "n")
			if err != nil {
				t.Fatal(err)
			}
			if lock.TTL() != 7*time.Second {
				t.Errorf("TTL %v", lock.TTL())
			}
			g, ok := locker.As[driver.Guarded](lock)
			if !ok {
				t.Fatal("no guard")
			}
			v, err := g.Guard()
			if err != nil {
				t.Fatal(err)
			}
			guard := v.(Guard)
			txn, err := el.EtcdClient().Txn(testContext(t)).
				If(clientv3.Compare(clientv3.CreateRevision(guard.Key), "=", guard.CreateRevision)).Commit()
			if err != nil || !txn.Succeeded {
				t.Errorf("guard %+v: %+v, %v", guard, txn, err)
			}
			if err := lock.Release(testContext(t)); err != nil {
				t.Errorf("Release: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if el.EtcdClient().Ctx().Err() == nil {
				t.Error("the client that Open made is still open")
			}
			if keys := keysOf(t, connect(t), pfx); len(keys) > 0 {
				t.Errorf("keys are left: %q", keys)
			}
		})
	}
}
