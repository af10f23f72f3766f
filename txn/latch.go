package txn

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Latches let the transactions of one process that conflict take turns, instead
// of sending commits that the server must refuse. They are advice and protect
// nothing: serialisability comes from the compares of the commit alone, and
// whoever waited too long for its turn goes ahead without. The zero Latches is
// ready for use, and is safe for concurrent use.
type Latches struct {
	mu    sync.Mutex      // guards the fields below
	taken map[string]bool // keys whose transaction is under way
	queue []*queued       // in the order of arrival
}

type queued struct {
	keys  []string
	ready chan struct{} // closed when the keys are taken for it
}

// A Latcher is a Store whose conflicting transactions should take turns: one
// for which asking the server is dear.
type Latcher interface {
	Latches() *Latches
}

func latchesOf(s Store) *Latches {
	if l, ok := s.(Latcher); ok {
		return l.Latches()
	}
	return nil
}

// try takes keys if nobody has or awaits any of them.
func (l *Latches) try(keys []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy(keys) || slices.ContainsFunc(l.queue, func(q *queued) bool { return overlap(q.keys, keys) }) {
		return false
	}
	l.take(keys)
	return true
}

// wait takes keys, all at once and first come first served. It gives up when
// ctx ends or after patience.
func (l *Latches) wait(ctx context.Context, keys []string, patience time.Duration) bool {
	q := &queued{keys: keys, ready: make(chan struct{})}
	l.mu.Lock()
	l.queue = append(l.queue, q)
	l.grant()
	l.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-q.ready:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, q)
	if i < 0 {
		return true // the turn came at the same moment
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	l.grant() // those behind may have waited for this one only
	return false
}

func (l *Latches) release(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		delete(l.taken, k)
	}
	l.grant()
}

// grant lets everybody go who needs no key that is taken or that somebody
// before wants, so that a transaction on many keys is not starved by small
// ones. The caller has l.mu.
func (l *Latches) grant() {
	wanted := make(map[string]bool)
	l.queue = slices.DeleteFunc(l.queue, func(q *queued) bool {
		blocked := l.busy(q.keys)
		for _, k := range q.keys {
			blocked = blocked || wanted[k]
		}
		if blocked {
			for _, k := range q.keys {
				wanted[k] = true
			}
			return false
		}
		l.take(q.keys)
		close(q.ready)
		return true
	})
}

func (l *Latches) busy(keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return l.taken[k] })
}

func (l *Latches) take(keys []string) {
	if l.taken == nil {
		l.taken = make(map[string]bool)
	}
	for _, k := range keys {
		l.taken[k] = true
	}
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(k string) bool { return slices.Contains(b, k) })
}

// turnPatience bounds how long a slow function elsewhere in this process can
// hold up others, and ends the deadlock of an Update inside an Update.
const turnPatience = time.Second

// A turn is what one transaction has taken from its Latches, over all of its
// attempts.
type turn struct {
	latches *Latches // nil: no turns are taken
	keys    []string // taken
	alone   bool     // waited in vain, and goes ahead without
}

// take makes sure before a commit that no local one on the same keys is under
// way. The first attempt finds out here, without having waited for anybody.
func (t *turn) take(tx *tx) bool {
	if t.latches == nil || t.alone {
		return true
	}
	var more []string
	for _, k := range touched(tx) {
		if !slices.Contains(t.keys, k) {
			more = append(more, k)
		}
	}
	if len(more) == 0 {
		return true
	}
	if !t.latches.try(more) {
		return false
	}
	t.keys = append(t.keys, more...)
	return true
}

// wait waits before a further attempt for the keys that the last one touched.
func (t *turn) wait(ctx context.Context, last *tx) {
	if t.latches == nil {
		return
	}
	t.end()
	keys := touched(last)
	t.alone = !t.latches.wait(ctx, keys, turnPatience)
	if !t.alone {
		t.keys = keys
	}
}

// end gives everything back.
func (t *turn) end() {
	if len(t.keys) > 0 {
		t.latches.release(t.keys)
		t.keys = nil
	}
}

func touched(t *tx) []string {
	keys := make(map[string]bool, len(t.reads)+len(t.writes))
	for k := range t.reads {
		keys[k] = true
	}
	for k := range t.writes {
		keys[k] = true
	}
	return sortedKeys(keys)
}
