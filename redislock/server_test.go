package redislock

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/redis/go-redis/v9"
)

// testTimeout is far beyond what anything here takes; nothing waits for it
// unless it has failed.
const testTimeout = 20 * time.Second

// testAddress is the server that the environment provides. It is shared: tests
// keep to prefixes of their own, and neither flush nor configure it.
func testAddress(t testing.TB) string {
	t.Helper()
	address := os.Getenv("LOCKER_TEST_REDIS")
	if address == "" {
		skip(t, "set LOCKER_TEST_REDIS=HOST:PORT to a Redis server to run this")
	}
	return address
}

func skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("must not be skipped with CI=true: " + reason)
	}
	t.Skip(reason)
}

// startServer runs a server that the test may break. The arguments go to
// redis-server.
func startServer(t testing.TB, args ...string) (address string) {
	t.Helper()
	address, _ = startCommand(t, args...)
	return address
}

func startCommand(t testing.TB, args ...string) (address string, cmd *exec.Cmd) {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		skip(t, "there is no redis-server in PATH")
	}
	port := freePort(t)
	args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)
	cmd = exec.Command(binary, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address = "127.0.0.1:" + port
	for deadline := time.Now().Add(testTimeout); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address, cmd
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not listen: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func newClient(t testing.TB, address string) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: address, Protocol: 2}
	tune(o)
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A peer is a client of the backend, and what was pushed to it.
type peer struct {
	t testing.TB
	*backend
	pushed chan push
}

type push struct {
	kind   string // granted, gone or ask
	id     string
	tenure uint64
	reason locker.LostReason
}

func (p *peer) Granted(id string, tenure uint64) { p.pushed <- push{"granted", id, tenure, 0} }
func (p *peer) Gone(id string, reason locker.LostReason, _ error) {
	p.pushed <- push{"gone", id, 0, reason}
}
func (p *peer) Ask(id string) { p.pushed <- push{kind: "ask", id: id} }

func newPrefix() string { return "test-" + rand.Text() + ":" }

// connect makes a client with its own connections.
func connect(t testing.TB, address, prefix string) *peer {
	t.Helper()
	client := newClient(t, address)
	b := newBackend(client, serverOf(client.Options()), prefix, slog.New(slog.DiscardHandler))
	p := &peer{t: t, backend: b, pushed: make(chan push, 10_000)}
	b.Push(p)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

func (p *peer) claim(c driver.Claim) driver.Answer {
	p.t.Helper()
	if c.TTL == 0 {
		c.TTL = time.Minute
	}
	a, err := p.Claim(testContext(p.t), c)
	if err != nil {
		p.t.Fatalf("Claim(%s): %v", c.ID, err)
	}
	return a
}

func (p *peer) hold(name, id string) driver.Ref {
	p.t.Helper()
	a := p.claim(driver.Claim{ID: id, Name: name})
	if a.State != driver.Held {
		p.t.Fatalf("claim %s of %q: state %v, want Held", id, name, a.State)
	}
	return driver.Ref{ID: id, Name: name, TTL: a.TTL, Tenure: a.Tenure}
}

func (p *peer) queue(name, id string, ttl time.Duration) driver.Ref {
	p.t.Helper()
	a := p.claim(driver.Claim{ID: id, Name: name, TTL: ttl})
	if a.State != driver.Queued {
		p.t.Fatalf("claim %s of %q: state %v, want Queued", id, name, a.State)
	}
	return driver.Ref{ID: id, Name: name, TTL: a.TTL}
}

func (p *peer) release(r driver.Ref) bool {
	p.t.Helper()
	found, err := p.Release(testContext(p.t), driver.Release{Ref: r})
	if err != nil {
		p.t.Fatalf("Release(%s): %v", r.ID, err)
	}
	return found
}

func (p *peer) renew(refs ...driver.Ref) []driver.Answer {
	p.t.Helper()
	answers, err := p.Renew(testContext(p.t), refs)
	if err != nil {
		p.t.Fatalf("Renew: %v", err)
	}
	return answers
}

// await returns the next push of this kind, and skips others.
func (p *peer) await(kind string) push {
	p.t.Helper()
	timeout := time.After(testTimeout)
	for {
		select {
		case got := <-p.pushed:
			if got.kind == kind {
				return got
			}
		case <-timeout:
			p.t.Fatalf("nothing was pushed that is %q", kind)
		}
	}
}

// subscribed returns when pushes arrive.
func (p *peer) subscribed() {
	p.t.Helper()
	p.listener.start()
	eventually(p.t, "the subscription is confirmed", p.listener.up.Load)
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for something on the server or in a library, which gives no
// event of its own.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not come true: %s", what)
		}
	}
}

// keysUnder lists what is on the server under a prefix.
func keysUnder(t testing.TB, c redis.UniversalClient, prefix string) []string {
	t.Helper()
	var all []string
	iter := c.Scan(testContext(t), 0, literal(prefix)+"*", 1000).Iterator()
	for iter.Next(testContext(t)) {
		all = append(all, iter.Val())
	}
	if err := iter.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// calls returns how often the server has carried out each command for clients,
// those inside of scripts included.
func calls(t testing.TB, c redis.UniversalClient) map[string]int {
	t.Helper()
	text, err := c.Info(testContext(t), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if ok {
			var n int
			if _, err := fmt.Sscanf(rest, "%d", &n); err == nil {
				counts[name] = n
			}
		}
	}
	return counts
}
