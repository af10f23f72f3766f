package storm

import (
	"errors"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance/history"
)

// A recorder writes a history. Its clock is read under its mutex and never
// gives a time twice, so that the order in which events are recorded is the
// order of their times, also where the clock is coarse or stands still.
type recorder struct {
	start  time.Time
	sealed chan struct{} // closed when nothing is recorded any more

	mu    sync.Mutex // guards all below
	last  history.Instant
	over  bool
	h     history.History
	holds []*held
	regs  map[string]*register
	left  map[string]bool // clients that are gone, and whether they were closed
}

// A held is the record of a level, while its client has it.
type held struct {
	history.Hold
	lock locker.Lock
}

// A register is a resource of which every hold takes a number and gives back
// one more: once as a careful one that refuses smaller tokens than it has seen,
// once as one that believes all.
type register struct {
	history.Register
	highest uint64
	later   chan struct{} // closed and replaced when a hold has written
}

func newRecorder(p Plan) *recorder {
	return &recorder{
		start: time.Now(), sealed: make(chan struct{}), regs: make(map[string]*register), left: make(map[string]bool),
		h: history.History{
			Version: history.Version, Backend: p.Backend, Server: p.Server,
			TTL: p.TTL, Seed: p.Seed, Attempts: make(map[string]int),
		},
	}
}

// now is to be called with mu held.
func (r *recorder) now() history.Instant {
	r.last = max(time.Since(r.start), r.last+1)
	return r.last
}

func (r *recorder) stamp() history.Instant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now()
}

func (r *recorder) record(f func(now history.Instant)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		f(r.now())
	}
}

// count says how a call came out.
func (r *recorder) count(what string, err error) {
	how := "lock"
	switch {
	case err == nil:
	case errors.Is(err, locker.ErrHeld):
		how = "held"
	case errors.Is(err, locker.ErrClosed):
		how = "closed"
	case errors.Is(err, locker.ErrUnavailable):
		how = "unavailable"
	default:
		how = "cancelled"
	}
	r.record(func(history.Instant) { r.h.Attempts[what+": "+how]++ })
}

// got begins a level, and follows it to its end.
func (r *recorder) got(client string, lock locker.Lock, name, owner string, asked history.Instant, follow func(func())) *held {
	h := &held{lock: lock, Hold: history.Hold{
		Client: client, Name: name, Owner: owner, Token: lock.Token(), TTL: lock.TTL(), Asked: asked,
	}}
	// What is read before the return is recorded cannot be less than what
	// the client knew then.
	deadline := r.deadline(lock)
	r.record(func(now history.Instant) {
		h.Got, h.Deadline, h.ID = now, deadline, len(r.holds)+1
		if closed, gone := r.left[client]; gone {
			h.Gone, h.Closed = now, closed // the answer reached nobody
		}
		r.holds = append(r.holds, h)
	})
	follow(func() {
		select {
		case <-lock.Done():
			r.ended(h)
		case <-r.sealed:
		}
	})
	return h
}

// ended records that Done was closed. The Deadline of a lock that is over is
// the last that it had.
func (r *recorder) ended(h *held) {
	var at history.Instant
	r.record(func(now history.Instant) { at = now })
	err, deadline := h.lock.Err(), r.deadline(h.lock)
	r.record(func(history.Instant) {
		h.Done = at
		if h.Release == 0 && h.Gone == 0 {
			h.Deadline = deadline
		}
		if lost, ok := errors.AsType[*locker.LostError](err); ok {
			h.Lost = lost.Reason.String()
		}
	})
}

// deadline reads it twice, as the clock may be read long after the lock's state
// on a busy machine, which makes it seem later. A lock that has none gives the
// zero time.
func (r *recorder) deadline(lock locker.Lock) history.Instant {
	if lock.Deadline().IsZero() {
		return 0
	}
	return min(lock.Deadline().Sub(r.start), lock.Deadline().Sub(r.start))
}

// releases records that Release is about to be called.
func (r *recorder) releases(h *held) {
	deadline := r.deadline(h.lock)
	r.record(func(now history.Instant) {
		if h.Done == 0 && h.Gone == 0 {
			h.Deadline = deadline
		}
		h.Release = now
	})
}

func (r *recorder) released(h *held, err error) {
	r.record(func(now history.Instant) {
		h.Released = now
		if err != nil {
			h.Failure = err.Error()
		}
	})
}

// gone records that a client is about to crash or to be closed: from now on it
// believes in nothing.
func (r *recorder) gone(client string, closed bool) {
	r.mu.Lock()
	var live []*held
	for _, h := range r.holds {
		if h.Client == client && h.Done == 0 && h.Release == 0 && h.Gone == 0 {
			live = append(live, h)
		}
	}
	r.mu.Unlock()
	deadlines := make([]history.Instant, len(live))
	for i, h := range live {
		deadlines[i] = r.deadline(h.lock)
	}
	r.record(func(now history.Instant) {
		r.left[client] = closed
		for i, h := range live {
			if h.Release == 0 && h.Done == 0 {
				h.Gone, h.Closed, h.Deadline = now, closed, deadlines[i]
			}
		}
	})
}

// fault records a disturbance while it lasts.
func (r *recorder) fault(f history.Fault, do func() error) error {
	f.From = r.stamp()
	err := do()
	if err == nil {
		r.record(func(now history.Instant) {
			f.To = now
			r.h.Faults = append(r.h.Faults, f)
		})
	}
	return err
}

func (r *recorder) saw(s history.Sighting) {
	r.record(func(now history.Instant) {
		s.To = now
		r.h.Sightings = append(r.h.Sightings, s)
	})
}

// register is that of a name. mu is held.
func (r *recorder) register(name string) *register {
	reg := r.regs[name]
	if reg == nil {
		reg = &register{Register: history.Register{Name: name}, later: make(chan struct{})}
		r.regs[name] = reg
	}
	return reg
}

// A draft is what a hold has read, and will write one more of.
type draft struct{ fenced, control int }

// read presents the token too: otherwise a former holder could write between
// the read and the write of the next one. later is closed when another write
// has come.
func (r *recorder) read(h *held) (d draft, later <-chan struct{}) {
	r.record(func(now history.Instant) {
		reg := r.register(h.Name)
		accepted := reg.admits(h.Token)
		d = draft{reg.Value, reg.ControlValue}
		later = reg.later
		r.h.Accesses = append(r.h.Accesses, history.Access{At: now, Hold: h.ID, Accepted: accepted})
	})
	return d, later
}

// write gives the draft to both. A draft that could not be read from the
// careful one is given to the control only.
func (r *recorder) write(h *held, d draft) {
	r.record(func(now history.Instant) {
		reg := r.register(h.Name)
		reg.ControlValue = d.control + 1
		reg.ControlWrites++
		accepted := reg.admits(h.Token)
		if accepted {
			reg.Value = d.fenced + 1
			reg.Accepted++
		} else {
			reg.Refused++
		}
		r.h.Accesses = append(r.h.Accesses, history.Access{At: now, Hold: h.ID, Write: true, Accepted: accepted})
		close(reg.later)
		reg.later = make(chan struct{})
	})
}

func (r *register) admits(token uint64) bool {
	if token < r.highest {
		return false
	}
	r.highest = token
	return true
}

// seal ends the recording and returns the history. Holds that go on get their
// last deadline.
func (r *recorder) seal() *history.History {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Took = r.now()
	r.over = true
	close(r.sealed)
	for _, h := range r.holds {
		r.h.Holds = append(r.h.Holds, h.Hold)
	}
	for _, reg := range r.regs {
		r.h.Registers = append(r.h.Registers, reg.Register)
	}
	return &r.h
}
