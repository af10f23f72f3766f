package memlock

import (
	"time"

	"github.com/lockerlib/locker"
)

// A push is what the server tells a client without being asked: that a claim
// was granted (tenure is set) or is gone (reason is set), or neither, that it
// should ask.
type push struct {
	id     string
	tenure uint64
	reason locker.LostReason
}

// A parcel is a push on its way down.
type parcel struct {
	push
	cuts int       // of the link's down half when it set out
	due  time.Time // zero: at once
}

// post puts p into the outbox and reports whether flush must be called for it,
// once no shard is locked. The order of posts is the order of arrival: a client
// that is told "gone" and then "granted" must not hear it the other way round.
func (l *link) post(p push) (flush bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil || l.down.cut || l.sink == nil {
		return false
	}
	if l.conn.dead {
		l.conn.missed++
		return false
	}
	out := parcel{push: p, cuts: l.down.cuts}
	if d := l.down.delay; d > 0 {
		out.due = time.Now().Add(d)
		time.AfterFunc(d, l.flush)
	}
	l.outbox = append(l.outbox, out)
	return out.due.IsZero()
}

// flush delivers what is due. One goroutine at a time does it, for all the
// others: that keeps the order without a goroutine of its own and without
// calling the sink under a mutex.
func (l *link) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flushing {
		return // that goroutine looks again before it leaves
	}
	l.flushing = true
	for len(l.outbox) > 0 && l.cause == nil && !l.conn.stalled {
		p := l.outbox[0]
		if !p.due.IsZero() && time.Now().Before(p.due) {
			break // its timer comes; what is behind it does not overtake
		}
		l.outbox[0] = parcel{}
		l.outbox = l.outbox[1:]
		if l.down.cut || p.cuts != l.down.cuts {
			continue
		}
		sink := l.sink
		l.mu.Unlock()
		switch {
		case p.tenure != 0:
			sink.Granted(p.id, p.tenure)
		case p.reason != 0:
			sink.Gone(p.id, p.reason, nil)
		default:
			sink.Ask(p.id)
		}
		l.mu.Lock()
	}
	if len(l.outbox) == 0 {
		l.outbox = nil
	}
	l.flushing = false
}
