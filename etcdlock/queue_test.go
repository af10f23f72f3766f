package etcdlock

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func TestQueueIsFIFO(t *testing.T) {
	for _, n := range []int{3, lookahead + 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			pfx := prefix(t)
			client := connect(t)
			type member struct {
				b testBackend
				p *pushes
				c driver.Claim
			}
			// Three clients take turns; each has several claims in the queue.
			var clients []member
			for range 3 {
				b, p := open(t, pfx, Lease, client)
				clients = append(clients, member{b: b, p: p})
			}
			var line []member
			for i := range n {
				m := clients[i%3]
				m.c = claimOf(fmt.Sprintf("c%d", i), "n")
				line = append(line, m)
				a, err := m.b.Claim(testContext(t), m.c)
				if err != nil {
					t.Fatal(err)
				}
				if want := map[bool]driver.State{true: driver.Held, false: driver.Queued}[i == 0]; a.State != want {
					t.Fatalf("claim %d: %+v", i, a)
				}
				if i > 0 && a.Holder.Client != "client" || i > 1 && a.Waiters != i-1 {
					t.Fatalf("claim %d is told of %+v and %d waiters", i, a.Holder, a.Waiters)
				}
			}
			var last uint64
			for i, m := range line {
				tenure := uint64(0)
				if i > 0 {
					x := m.p.wait(t, "granted", m.c.ID)
					if tenure = x.tenure; tenure <= last {
						t.Fatalf("claim %d got tenure %d after %d", i, tenure, last)
					}
					last = tenure
				}
				for _, later := range line[i+1:] {
					if _, early := later.p.find("granted", later.c.ID); early {
						t.Fatalf("%s was granted before %s left", later.c.ID, m.c.ID)
					}
				}
				if found, err := m.b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: m.c.ID, Name: "n", Tenure: tenure}}); err != nil || !found {
					t.Fatalf("Release(%s): %v, %v", m.c.ID, found, err)
				}
			}
		})
	}
}

func TestExpiredHolderIsFollowed(t *testing.T) {
	pfx := prefix(t)
	b1, _ := open(t, pfx, Lease, connect(t))
	b2, p2 := open(t, pfx, Lease, connect(t))
	c := claimOf("a", "n")
	c.TTL = time.Millisecond
	a := must(t, b1, c, driver.Held)
	if a.TTL < time.Second {
		t.Errorf("the TTL granted is %v", a.TTL)
	}
	start := time.Now()
	must(t, b2, claimOf("b", "n"), driver.Queued)
	x := p2.wait(t, "granted", "b")
	if d := x.at.Sub(start); d > a.TTL+2*time.Second {
		t.Errorf("granted after %v with a TTL of %v", d, a.TTL)
	}
	got, err := b1.Renew(testContext(t), []driver.Ref{refOf(c, a)})
	if err != nil || got[0].State != driver.Gone || got[0].Reason != locker.LostExpired {
		t.Errorf("Renew of the expired hold: %+v, %v", got, err)
	}
}

func TestWaitSurvivesCompaction(t *testing.T) {
	pfx, client := prefix(t), connect(t)
	b1, _ := open(t, pfx, Lease, connect(t))
	b2, p2 := open(t, pfx, Lease, connect(t))
	a := must(t, b1, claimOf("a", "n"), driver.Held)
	must(t, b2, claimOf("b", "n"), driver.Queued)
	resp, err := client.Put(testContext(t), pfx+"/x", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(testContext(t), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := b1.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "a", Name: "n", Tenure: a.Tenure}}); err != nil {
		t.Fatal(err)
	}
	p2.wait(t, "granted", "b")
}

// Several clients fight over one name; what they believe must never overlap.
func TestContention(t *testing.T) {
	for _, mode := range []Mode{Lease, Session} {
		t.Run(mode.String(), func(t *testing.T) { contend(t, mode) })
	}
}

func contend(t *testing.T, mode Mode) {
	pfx, client := prefix(t), connect(t)
	const clients, rounds = 4, 40
	var inside, handovers atomic.Int32
	var last atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		b, p := open(t, pfx, mode, client)
		wg.Go(func() {
			for r := range rounds {
				c := claimOf(fmt.Sprintf("c%d-%d", i, r), "n")
				a, err := b.Claim(testContext(t), c)
				if err != nil {
					t.Error(err)
					return
				}
				tenure := a.Tenure
				if a.State == driver.Queued {
					handovers.Add(1)
					tenure = p.wait(t, "granted", c.ID).tenure
				}
				if inside.Add(1) != 1 {
					t.Error("two inside")
				}
				if prev := last.Swap(int64(tenure)); prev >= int64(tenure) {
					t.Errorf("tenure %d after %d", tenure, prev)
				}
				inside.Add(-1)
				if found, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: c.ID, Name: "n", Tenure: tenure}}); err != nil || !found {
					t.Errorf("Release: %v, %v", found, err)
				}
			}
		})
	}
	wg.Wait()
	if handovers.Load() == 0 {
		t.Error("nobody ever waited: the test showed nothing")
	}
}

// A waiter whose connections break hears of its grant all the same.
func TestWaitSurvivesReconnect(t *testing.T) {
	pfx := prefix(t)
	link := newLink(t, endpoint(t))
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{link.addr}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	holder, _ := open(t, pfx, Lease, connect(t))
	b, p := open(t, pfx, Lease, client)
	a := must(t, holder, claimOf("h", "n"), driver.Held)
	must(t, b, claimOf("w1", "n"), driver.Queued)
	must(t, b, claimOf("w2", "n"), driver.Queued)
	link.cut()
	if _, err := holder.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "h", Name: "n", Tenure: a.Tenure}}); err != nil {
		t.Fatal(err)
	}
	x := p.wait(t, "granted", "w1")
	link.cut()
	if _, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "w1", Name: "n", Tenure: x.tenure}}); err != nil {
		// The request may have been on the connection that was cut.
		if _, err := b.Release(testContext(t), driver.Release{Ref: driver.Ref{ID: "w1", Name: "n", Tenure: x.tenure}}); err != nil {
			t.Fatal(err)
		}
	}
	p.wait(t, "granted", "w2")
}

// A link passes connections on to a server, and can cut them.
type link struct {
	addr  string
	mu    sync.Mutex
	conns []net.Conn
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{addr: l.Addr().String()}
	t.Cleanup(func() { l.Close(); k.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			k.mu.Lock()
			k.conns = append(k.conns, in, out)
			k.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	return k
}

func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.conns {
		c.Close()
	}
	k.conns = nil
}
