package etcdlock

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Requests that come while others are on their way travel together.
func TestRequestsCombine(t *testing.T) {
	g := &gate{}
	b, _ := open(t, prefix(t), Lease, connect(t, g.option()))
	must(t, b, claimOf("warm", "m"), driver.Held)
	var txns atomic.Int32
	g.set(func(method string, _ any, send func() error) error {
		if strings.HasSuffix(method, "/Txn") {
			txns.Add(1)
		}
		return send()
	})
	const n = 200
	answers := make([]driver.Answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a, err := b.Claim(testContext(t), claimOf(fmt.Sprintf("c%d", i), fmt.Sprintf("n%d", i)))
			if err != nil || a.State != driver.Held {
				t.Errorf("claim %d: %+v, %v", i, a, err)
			}
			answers[i] = a
		})
	}
	wg.Wait()
	if got := txns.Load(); got >= n/2 {
		t.Errorf("%d claims took %d transactions", n, got)
	}
	for i, a := range answers {
		r := driver.Release{Ref: driver.Ref{ID: fmt.Sprintf("c%d", i), Name: fmt.Sprintf("n%d", i), Tenure: a.Tenure}}
		wg.Go(func() {
			if found, err := b.Release(testContext(t), r); err != nil || !found {
				t.Errorf("Release(%s): %v, %v", r.ID, found, err)
			}
		})
	}
	wg.Wait()
}

// One part that the server refuses must not fail the others.
func TestRefusedPartDoesNotFailOthers(t *testing.T) {
	client, pfx := connect(t), prefix(t)
	var wg sync.WaitGroup
	c := newCombiner(testContext(t), &wg, client.KV)
	parts := make([]*part, 6)
	for i := range parts {
		key := fmt.Sprintf("%s/%d", pfx, i)
		var opts []clientv3.OpOption
		if i == 3 {
			opts = append(opts, clientv3.WithLease(1)) // there is no such lease
		}
		parts[i] = &part{name: key, then: []clientv3.Op{clientv3.OpPut(key, "", opts...)}, done: make(chan struct{})}
	}
	c.fly(testContext(t), parts)
	for i, p := range parts {
		<-p.done
		if i == 3 && !isLeaseGone(p.err) || i != 3 && (p.err != nil || !p.resp.Succeeded) {
			t.Errorf("part %d: %v", i, p.err)
		}
	}
	if _, err := client.Delete(testContext(t), pfx, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
}

// Two claims of one name in one transaction would share a create revision.
func TestPartsOfOneNameTravelApart(t *testing.T) {
	c := &combiner{queued: []*part{{name: "a"}, {name: "b"}, {name: "a"}, {name: "c"}}}
	if got := c.board(); len(got) != 3 || len(c.queued) != 1 || c.queued[0].name != "a" {
		t.Errorf("boarded %d, %d stay", len(got), len(c.queued))
	}
}
