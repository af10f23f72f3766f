package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// The five models of a lock.
const (
	Mutex           = "mutex"             // taken when free, freed when taken
	OwnerAware      = "owner-aware"       // freed by the hold that took it
	Reentrant       = "re-entrant"        // its owner may take it again, and frees it as often
	Fenced          = "fenced"            // owner-aware, and every hold has a greater token
	ReentrantFenced = "re-entrant fenced" // a re-entry has the token of the hold
)

// Models lists them.
func Models() []string {
	return []string{Mutex, OwnerAware, Reentrant, Fenced, ReentrantFenced}
}

// A step is one operation on a lock: a hold, or a level of one, begins or ends.
type step struct {
	end   bool
	hold  int    // the tenure
	owner string // of a re-entrant lock
	token uint64
}

// A lockState is comparable, as porcupine wants it.
type lockState struct {
	depth int
	hold  int
	owner string
	token uint64 // of the hold, or of the last one
}

// A rule says whether a step is legal, and what follows.
type rule func(s lockState, op step) (bool, lockState)

var rules = map[string]rule{
	Mutex: func(s lockState, op step) (bool, lockState) {
		if op.end {
			return s.depth == 1, lockState{}
		}
		return s.depth == 0, lockState{depth: 1}
	},
	OwnerAware: func(s lockState, op step) (bool, lockState) {
		if op.end {
			return s.depth == 1 && s.hold == op.hold, lockState{}
		}
		return s.depth == 0, lockState{depth: 1, hold: op.hold}
	},
	Reentrant: func(s lockState, op step) (bool, lockState) {
		return reenter(s, op, lockState{})
	},
	Fenced: func(s lockState, op step) (bool, lockState) {
		if op.end {
			return s.depth == 1 && s.hold == op.hold, lockState{token: s.token}
		}
		return s.depth == 0 && op.token > s.token, lockState{depth: 1, hold: op.hold, token: op.token}
	},
	ReentrantFenced: func(s lockState, op step) (bool, lockState) {
		switch {
		case !op.end && s.depth == 0 && op.token <= s.token:
			return false, s
		case s.depth > 0 && op.token != s.token:
			return false, s
		}
		return reenter(s, op, lockState{token: op.token})
	},
}

func reenter(s lockState, op step, free lockState) (bool, lockState) {
	switch {
	case op.end:
		if s.depth == 0 || s.owner != op.owner {
			return false, s
		}
		if s.depth--; s.depth == 0 {
			return true, free
		}
	case s.depth == 0:
		s = lockState{depth: 1, owner: op.owner, token: free.token}
	case s.owner != op.owner:
		return false, s
	default:
		s.depth++
	}
	return true, s
}

// chunk is how many operations are given to porcupine at once, if the history
// can be cut. Its memory grows with the square of the number.
const chunk = 400

// CheckModel asks porcupine whether beliefs are legal under one of Models. It
// gives up after limit: then the outcome is Unknown. The models that look at
// tokens are about Fencing, the others about Belief.
//
// Each hold becomes two operations: its beginning, somewhere between the call
// of Acquire and its return, and its end, somewhere between the moment when its
// client stopped believing and the return of Release or the deadline. Calls
// that returned no lock are left out, those whose outcome is not known
// included: nobody believed in anything, and open operations are what makes
// such a checker explode.
func CheckModel(h *History, model string, limit time.Duration) Finding {
	f := Finding{Property: Belief, Judge: "porcupine, " + model}
	if model == Fenced || model == ReentrantFenced {
		f.Property = Fencing
	}
	legal, ok := rules[model]
	if !ok {
		f.Outcome, f.Seen = Unknown, "there is no such model"
		return f
	}
	fenced := f.Property == Fencing
	if fenced && !slices.ContainsFunc(h.Holds, func(l Hold) bool { return l.Token != 0 }) {
		f.Outcome, f.Seen = Unknown, "no hold has a token"
		return f
	}
	all := h.tenures()
	if model == Reentrant || model == ReentrantFenced {
		all = h.levels()
	}
	until := time.Now().Add(limit)
	checked := 0
	names, of := byName(all)
	for _, name := range names {
		var last uint64
		for _, ops := range operations(of[name]) {
			left := max(time.Until(until), time.Nanosecond) // 0 would be no limit
			m := porcupine.Model{
				Init: func() any { return lockState{token: last} },
				Step: func(state, in, _ any) (bool, any) { return legal(state.(lockState), in.(step)) },
			}
			if !fenced {
				m.Init = func() any { return lockState{} }
			}
			switch porcupine.CheckOperationsTimeout(m, ops, left) {
			case porcupine.Illegal:
				f.Outcome, f.Name = Illegal, name
				f.From, f.To = extent(ops)
				f.Expected = "the operations of every name, put in one order, are those of a lock that is " + model
				f.Seen = fmt.Sprintf("those of %q are not: there is no such order of %d operations between %s and %s", name, len(ops), clock(f.From), clock(f.To))
				return f
			case porcupine.Unknown:
				f.Outcome, f.Name = Unknown, name
				f.Seen = fmt.Sprintf("no verdict on %q within %v", name, limit)
				return f
			case porcupine.Ok:
			}
			for _, op := range ops {
				last = max(last, op.Input.(step).token)
			}
			checked += len(ops)
		}
	}
	f.Number = fmt.Sprintf("%d operations", checked)
	return f
}

// extent is when the first of ops began and the last one ended.
func extent(ops []porcupine.Operation) (from, to Instant) {
	from = Instant(ops[0].Call)
	for _, op := range ops {
		from, to = min(from, Instant(op.Call)), max(to, Instant(op.Return))
	}
	return from, to
}

// operations are those of one name, in pieces that can be judged one after the
// other.
//
// The history may be cut wherever nobody believes to hold. A waiter's window
// may reach over a cut from before, and is clipped to it: were its hold to
// begin before the cut in a legal order, nobody else could begin one until it
// was returned, so that its beginning can be moved to the return and the order
// stays legal. The same holds of ends, which can be moved to the left.
func operations(all []belief) (pieces [][]porcupine.Operation) {
	var (
		ops []porcupine.Operation
		cut Instant = -1 // the piece begins after it
		end Instant      // of all beliefs so far
	)
	for _, b := range all {
		if b.certain() <= b.from {
			continue // nobody was sure for any time
		}
		if b.from > end && len(ops) >= chunk {
			for i := range ops {
				ops[i].Return = min(ops[i].Return, int64(end))
			}
			pieces, ops, cut = append(pieces, ops), nil, end
		}
		end = max(end, b.certain())
		owner := fmt.Sprint("#", b.id)
		if b.Owner != "" {
			owner = b.Client + "/" + b.Owner
		}
		gone := max(b.to, b.Released)
		if !b.released() {
			gone = max(gone, b.Deadline)
		}
		at := step{hold: b.id, owner: owner, token: b.Token}
		over := at
		over.end = true
		ops = append(ops,
			porcupine.Operation{ClientId: b.id, Input: at, Call: int64(max(b.Asked, cut+1)), Return: int64(b.from)},
			porcupine.Operation{ClientId: b.id, Input: over, Call: int64(b.certain()), Return: int64(gone)})
	}
	if len(ops) > 0 {
		pieces = append(pieces, ops)
	}
	return pieces
}
