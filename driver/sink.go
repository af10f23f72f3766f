package driver

import (
	"cmp"

	"github.com/lockerlib/locker"
)

// sink takes what the backend pushes.
type sink struct{ l *Locker }

var _ Sink = sink{}

func (k sink) Granted(id string, tenure uint64) {
	k.with(id, func(t *ticket) {
		if (t.state == stateAsking || t.state == stateQueued) && tenure <= MaxTenure {
			t.pushed = max(t.pushed, tenure)
			t.notify()
		}
	})
}

func (k sink) Gone(id string, reason locker.LostReason, err error) {
	k.with(id, func(t *ticket) { t.isGone(reason, err) })
}

func (k sink) Ask(id string) {
	k.with(id, func(t *ticket) {
		switch t.state {
		case stateAsking, stateQueued:
			t.ask = true
			t.notify()
		case stateHeld:
			k.l.register.hurry(t)
		}
	})
}

// with calls f with the ticket of id, if it is known, under its mutex.
func (k sink) with(id string, f func(*ticket)) {
	t := k.l.register.find(id)
	if t == nil {
		return
	}
	t.slot.mu.Lock()
	defer t.slot.mu.Unlock()
	f(t)
}

// isGone takes in that the server does not have the claim any more. mu is held.
func (t *ticket) isGone(reason locker.LostReason, err error) {
	switch t.state {
	case stateAsking, stateQueued:
		t.gone = true
		t.slot.l.register.pause(t)
		t.notify()
	case stateHeld:
		t.lose(cmp.Or(reason, locker.LostEvicted), err)
	}
}
