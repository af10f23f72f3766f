package conformance

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
)

const goroutineLabel = "locker-conformance"

var labels atomic.Int64

// labelled finds the goroutines that come from one function, in a process in
// which other checks run too: a goroutine inherits the labels of the one that
// started it. end runs f under a fresh label; count gives the stacks of the
// goroutines that carry it.
func labelled(t *trial) (count func() []string, end func(f func())) {
	label := fmt.Sprintf("%s-%d", t.check.ID, labels.Add(1))
	end = func(f func()) {
		if f == nil {
			return
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			pprof.Do(context.Background(), pprof.Labels(goroutineLabel, label), func(context.Context) { t.protect(f) })
		}()
		<-done
		t.live()
	}
	count = func() []string {
		var all bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			t.notShown("the goroutines cannot be listed: %v", err)
		}
		want := fmt.Sprintf("%q:%q", goroutineLabel, label)
		var stacks []string
		for stack := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(stack, want) {
				stacks = append(stacks, stack)
			}
		}
		return stacks
	}
	return count, end
}
