package etcdlock

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// endpoint returns the server to test with.
func endpoint(t testing.TB) string {
	t.Helper()
	addr := os.Getenv("LOCKER_TEST_ETCD")
	if addr == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("LOCKER_TEST_ETCD is not set, and CI must not skip")
		}
		t.Skip("set LOCKER_TEST_ETCD to host:port of an etcd server to run this test (make test does)")
	}
	return addr
}

// connect returns a client of its own connection.
func connect(t *testing.T, opts ...grpc.DialOption) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint(t)}, DialOptions: opts, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// prefix returns a place of its own for the keys of a test.
func prefix(t *testing.T) string {
	return "test/" + escape(strings.ReplaceAll(t.Name(), "/", "-")) + fmt.Sprint(time.Now().UnixNano())
}

// open returns a backend of either mode, over its own connection.
func open(t *testing.T, pfx string, mode Mode, client *clientv3.Client) (testBackend, *pushes) {
	t.Helper()
	keys, err := newKeyspace(pfx)
	if err != nil {
		t.Fatal(err)
	}
	clock := driver.SystemClock()
	log := slog.New(slog.DiscardHandler)
	var b testBackend
	if mode == Session {
		b = newSessionBackend(client, keys, clock, log, false)
	} else {
		b = newBackend(client, keys, clock, log, false)
	}
	p := &pushes{changed: make(chan struct{}, 1)}
	b.Push(p)
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { _ = b.Close(testContext(t)) }) })
	return b, p
}

type testBackend interface {
	driver.Backend
	driver.Pusher
	driver.Inspector
	driver.Lister
	driver.Breaker
	driver.Guarder
}

// testContext bounds a step of a test; it does not end with the test, so that
// cleanups can use it.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// pushes records what a backend pushes.
type pushes struct {
	mu      sync.Mutex
	all     []push
	changed chan struct{}
}

type push struct {
	kind   string
	id     string
	tenure uint64
	reason locker.LostReason
	at     time.Time
}

func (p *pushes) add(x push) {
	x.at = time.Now()
	p.mu.Lock()
	p.all = append(p.all, x)
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *pushes) Granted(id string, tenure uint64) {
	p.add(push{kind: "granted", id: id, tenure: tenure})
}

func (p *pushes) Gone(id string, reason locker.LostReason, _ error) {
	p.add(push{kind: "gone", id: id, reason: reason})
}

func (p *pushes) Ask(id string) { p.add(push{kind: "ask", id: id}) }

// wait returns the first push of a kind about id.
func (p *pushes) wait(t *testing.T, kind, id string) push {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if x, ok := p.find(kind, id); ok {
			return x
		}
		select {
		case <-p.changed:
		case <-deadline:
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Fatalf("no push %q about %s; got %v", kind, id, p.all)
		}
	}
}

func (p *pushes) find(kind, id string) (push, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.all {
		if x.kind == kind && x.id == id {
			return x, true
		}
	}
	return push{}, false
}

// claimOf returns a claim with a default TTL.
func claimOf(id, name string) driver.Claim {
	return driver.Claim{ID: id, Name: name, TTL: 10 * time.Second, Client: "client", Owner: "owner", Metadata: "meta"}
}

// must makes a claim and demands a state.
func must(t *testing.T, b driver.Backend, c driver.Claim, want driver.State) driver.Answer {
	t.Helper()
	a, err := b.Claim(testContext(t), c)
	if err != nil {
		t.Fatalf("Claim(%s): %v", c.ID, err)
	}
	if a.State != want {
		t.Fatalf("Claim(%s): got %+v, want state %d", c.ID, a, want)
	}
	return a
}

func refOf(c driver.Claim, a driver.Answer) driver.Ref {
	return driver.Ref{ID: c.ID, Name: c.Name, TTL: a.TTL, Tenure: a.Tenure}
}

// keysOf lists all keys under a prefix.
func keysOf(t *testing.T, c *clientv3.Client, pfx string) []string {
	t.Helper()
	resp, err := c.Get(testContext(t), pfx, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, kv := range resp.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}

// A gate is a gRPC interceptor that a test puts in the way of chosen requests.
type gate struct {
	mu   sync.Mutex
	rule func(method string, req any, send func() error) error
}

func (g *gate) set(rule func(method string, req any, send func() error) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rule = rule
}

func (g *gate) option() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		g.mu.Lock()
		rule := g.rule
		g.mu.Unlock()
		if rule == nil {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		return rule(method, req, func() error {
			return invoke(context.WithoutCancel(ctx), method, req, reply, cc, opts...)
		})
	})
}
