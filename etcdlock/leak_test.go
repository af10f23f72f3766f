package etcdlock

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
)

// Close ends every goroutine of this package, and every watch and lease stream
// that it opened over a client that stays open.
func TestCloseEndsGoroutines(t *testing.T) {
	for _, mode := range []Mode{Lease, Session} {
		t.Run(mode.String(), func(t *testing.T) {
			pfx, client := prefix(t), connect(t)
			if _, err := client.Get(testContext(t), pfx); err != nil {
				t.Fatal(err)
			}
			var ls [2]locker.Locker
			for i := range ls {
				l, err := New(client, WithPrefix(pfx), WithMode(mode))
				if err != nil {
					t.Fatal(err)
				}
				ls[i] = l
			}
			if _, err := ls[0].Acquire(testContext(t), "n"); err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 1)
			go func() {
				_, err := ls[1].Acquire(testContext(t), "n")
				got <- err
			}()
			for {
				st, err := locker.Inspect(testContext(t), ls[0], "n")
				if err != nil {
					t.Fatal(err)
				}
				if st.WaiterCount == 1 {
					break
				}
			}
			for _, l := range ls {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
			<-got
			var left string
			for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if left = streams(); left == "" {
					return
				}
			}
			t.Errorf("goroutines are left:\n%s", left)
		})
	}
}

// streams returns the stacks of goroutines of this package (but for the test's
// own), and of the client's watches, leases and sessions.
func streams() string {
	buf := make([]byte, 1<<20)
	var left []string
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "testing.tRunner") {
			continue
		}
		for _, mark := range []string{"/etcdlock.", "watchGRPCStream", "lessor", "concurrency."} {
			if strings.Contains(g, mark) {
				left = append(left, g)
				break
			}
		}
	}
	return strings.Join(left, "\n\n")
}
