package proxy

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/lockerlib/locker/testbed/servers"
)

var set *servers.Set

func TestMain(m *testing.M) {
	servers.StopOnSignal()
	var err error
	if set, err = servers.Start(context.Background(), os.Stdout); err != nil {
		println(err.Error())
		os.Exit(1)
	}
	code := m.Run()
	if err := set.Stop(); err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

func TestDropRepliesOfRedis(t *testing.T) {
	ctx := t.Context()
	p := start(t, set.Redis.Addr, RESP)
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1})
	defer c.Close()
	const key = "proxy-test"
	if err := c.Del(ctx, key).Err(); err != nil {
		t.Fatal(err)
	}
	before := p.Stats().Requests
	p.DropReplies(2)
	for range 2 {
		if n, err := c.Incr(ctx, key).Result(); err == nil {
			t.Fatalf("the lost answer arrived: %d", n)
		}
	}
	n, err := c.Incr(ctx, key).Result()
	if err != nil || n != 3 {
		t.Errorf("Incr = %d, %v, want 3: the two before reached the server", n, err)
	}
	if got := p.Stats(); got.Requests-before != 3 || got.Lost != 2 {
		t.Errorf("Stats() = %+v, want 3 requests more than %d and 2 lost answers", got, before)
	}
	c.Del(ctx, key)
}

// Of a client of several members one answer is lost, whichever it asks.
func TestDropRepliesBeside(t *testing.T) {
	ctx := t.Context()
	first := start(t, set.Redis.Addr, RESP)
	second, err := New(set.Redis.Addr, RESP, Beside(first))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close() })
	var clients []*redis.Client
	for _, p := range []*Proxy{first, second} {
		c := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1})
		defer c.Close()
		clients = append(clients, c)
	}
	first.DropReplies(1)
	if err := clients[1].Get(ctx, "proxy-test").Err(); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("the answer arrived: %v", err)
	}
	for i, c := range clients {
		if err := c.Get(ctx, "proxy-test").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("client %d lost a further answer: %v", i, err)
		}
	}
	if a, b := first.Stats().Lost, second.Stats().Lost; a != 0 || b != 1 {
		t.Errorf("%d and %d answers were lost", a, b)
	}
}

// Pushes are no answers: a subscription in the same client is left alone.
func TestDropRepliesLeavesPushesAlone(t *testing.T) {
	ctx := t.Context()
	p := start(t, set.Redis.Addr, RESP)
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1})
	defer c.Close()
	sub := c.Subscribe(ctx, "proxy-test")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	p.DropReplies(1)
	if err := c.Publish(ctx, "proxy-test", "hello").Err(); err == nil {
		t.Error("the lost answer arrived")
	}
	msg, err := sub.ReceiveMessage(ctx)
	if err != nil || msg.Payload != "hello" {
		t.Errorf("the push: %v, %v", msg, err)
	}
}

func TestDropRepliesOfEtcd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p := start(t, set.Etcd.Addr, HTTP2)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{p.Addr()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const key = "proxy-test"
	if _, err := c.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	// A watch is open on the same connection, and is no request.
	watch := c.Watch(clientv3.WithRequireLeader(ctx), key, clientv3.WithCreatedNotify())
	if r := <-watch; r.Err() != nil {
		t.Fatal(r.Err())
	}
	before := p.Stats()
	p.DropReplies(1)
	if _, err := c.Put(ctx, key, "v"); err == nil {
		t.Error("the lost answer arrived")
	}
	got, err := c.Get(ctx, key)
	if err != nil || len(got.Kvs) != 1 || got.Kvs[0].Version != 1 {
		t.Fatalf("Get = %v, %v, want the put once", got, err)
	}
	if s := p.Stats(); s.Lost != 1 || s.Requests-before.Requests < 2 {
		t.Errorf("Stats() = %+v after %+v", s, before)
	}
	if r := <-watch; len(r.Events) != 1 { // it was resumed on a new connection
		t.Errorf("the watch saw %v", r)
	}
	c.Delete(ctx, key)
}

func TestOnReply(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var mu sync.Mutex
	granted := map[clientv3.LeaseID]bool{}
	p, err := New(set.Etcd.Addr, HTTP2, OnReply(func(method string, message []byte) {
		if method != pb.Lease_LeaseGrant_FullMethodName {
			return
		}
		var r pb.LeaseGrantResponse
		if err := proto.Unmarshal(message, &r); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		granted[clientv3.LeaseID(r.ID)] = true
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{p.Addr()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		l, err := c.Grant(ctx, 60)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		if !granted[l.ID] {
			t.Errorf("lease %x was not seen", l.ID)
		}
		mu.Unlock()
		if _, err := c.Revoke(ctx, l.ID); err != nil {
			t.Error(err)
		}
	}
	// The answer that a cut keeps from the client is seen as well.
	p.Cut(Down)
	short, done := context.WithTimeout(ctx, 500*time.Millisecond)
	defer done()
	if _, err := c.Grant(short, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Grant over a cut link: %v", err)
	}
	until(t, "the grant is seen", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(granted) == 4
	})
}

func TestValues(t *testing.T) {
	stream := "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" + // a command
		"$-1\r\n" + "_\r\n" + ":42\r\n" + "+OK\r\n" + "-ERR no\r\n" + ",1.5\r\n" +
		"%1\r\n+a\r\n*2\r\n:1\r\n$2\r\n\r\n\r\n" + // a map with an array in it, and a string that looks like an end
		">2\r\n+message\r\n$0\r\n\r\n" + "*0\r\n" + "~1\r\n#t\r\n" + "=5\r\ntxt:a\r\n"
	want := "*$_:+-,%>*~="
	for size := 1; size <= len(stream); size++ { // however it is cut up
		var p values
		var kinds []byte
		word := ""
		for rest := stream; rest != ""; {
			n := min(size, len(rest))
			p.feed([]byte(rest[:n]), func(v value) {
				kinds = append(kinds, v.kind)
				if word == "" {
					word = v.word
				}
			})
			rest = rest[n:]
		}
		if string(kinds) != want || word != "GET" || p.partial() {
			t.Fatalf("in pieces of %d: kinds %q, want %q; word %q; partial %v", size, kinds, want, word, p.partial())
		}
	}
}
