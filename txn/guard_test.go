package txn_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
)

// uses are the ways to use a store; each is to write "mine" to a, or to read.
var uses = map[string]func(*rig, txn.Store) error{
	"update": func(r *rig, s txn.Store) error {
		return txn.Update(r.ctx, s, func(tx txn.Tx) error { tx.Put(r.key("a"), "mine"); return nil })
	},
	"update that reads": func(r *rig, s txn.Store) error {
		return txn.Update(r.ctx, s, func(tx txn.Tx) error {
			_, err := tx.Get(r.ctx, r.key("a"))
			tx.Put(r.key("a"), "mine")
			return err
		})
	},
	"update of nothing": func(r *rig, s txn.Store) error {
		return txn.Update(r.ctx, s, func(txn.Tx) error { return nil })
	},
	"view": func(r *rig, s txn.Store) error {
		return txn.View(r.ctx, s, func(v txn.Reader) error { _, err := v.Get(r.ctx, r.key("a")); return err })
	},
	"view of nothing": func(r *rig, s txn.Store) error {
		return txn.View(r.ctx, s, func(txn.Reader) error { return nil })
	},
	"if": func(r *rig, s txn.Store) error {
		return second(txn.If().Then(txn.Put(r.key("a"), "mine")).Commit(r.ctx, s))
	},
	"else": func(r *rig, s txn.Store) error {
		return second(txn.If(txn.Missing(r.key("a"))).Else(txn.Put(r.key("a"), "mine")).Commit(r.ctx, s))
	},
	"if that reads": func(r *rig, s txn.Store) error {
		return second(txn.If(txn.Exists(r.key("a"))).Then(txn.Get(r.key("a"))).Commit(r.ctx, s))
	},
	"if of nothing": func(r *rig, s txn.Store) error { return second(txn.If().Commit(r.ctx, s)) },
}

func TestGuardLetsTheHolderCommit(t *testing.T) {
	eachStore(t, func(r *rig) {
		for name, use := range uses {
			r.put("a", "1")
			if err := use(r, txn.Guarded(r.store, r.hold())); err != nil {
				r.Errorf("%s: %v", name, err)
			}
			if want := "mine"; !strings.Contains(name, "view") && !strings.Contains(name, "nothing") && !strings.Contains(name, "that reads") {
				r.want("a", want)
			}
		}
	})
}

// The handle does not know yet; the server does.
func TestGuardRefusesAHoldThatTheServerGaveUp(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "1")
		for name, use := range uses {
			stale, fresh := r.hold(), r.hold()
			r.evict(stale.guard)
			for _, s := range []txn.Store{
				txn.Guarded(r.store, stale),
				txn.Guarded(txn.Guarded(r.store, stale), fresh),
				txn.Guarded(txn.Guarded(r.store, fresh), stale),
			} {
				if err := use(r, s); !errors.Is(err, locker.ErrLost) {
					r.Errorf("%s: %v, want ErrLost", name, err)
				}
			}
		}
		r.want("a", "1")
	})
}

func TestGuardChecksTheHandleBeforeAnythingIsSent(t *testing.T) {
	lost := &locker.LostError{Name: "name", Reason: locker.LostBroken}
	eachStore(t, func(r *rig) {
		r.put("a", "1")
		for name, use := range uses {
			for _, end := range []error{lost, locker.ErrReleased} {
				l := r.hold() // current on the server
				l.end(end)
				// A store that must not be asked: nil calls would panic.
				err := use(r, txn.Guarded(struct{ txn.Store }{}, l))
				if !errors.Is(err, end) || !errors.Is(err, locker.ErrLost) {
					r.Errorf("%s after %v: %v", name, end, err)
				}
			}
		}
	})
}

func TestGuardThatEndsWithinTheFunction(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "1")
		l := r.hold()
		r.is(txn.Update(r.ctx, txn.Guarded(r.store, l), func(tx txn.Tx) error {
			tx.Put(r.key("a"), "mine")
			r.evict(l.guard)
			return nil
		}), locker.ErrLost)
		r.want("a", "1")
	})
}

func TestWhatCannotGuardFailsEveryCall(t *testing.T) {
	type wrong struct{}
	eachStore(t, func(r *rig) {
		r.put("a", "1")
		for name, use := range uses {
			for what, s := range map[string]txn.Store{
				"another backend": txn.Guarded(r.store, &lock{guard: wrong{}}),
				"no guards":       txn.Guarded(r.store, struct{ bare }{}),
				"nil lock":        txn.Guarded(r.store, nil),
				"nil store":       txn.Guarded(nil, r.hold()),
				"nested":          txn.Guarded(txn.Guarded(r.store, &lock{guard: wrong{}}), r.hold()),
			} {
				err := use(r, s)
				if err == nil || errors.Is(err, locker.ErrLost) {
					r.Errorf("%s with %s: %v", name, what, err)
				}
			}
		}
		r.want("a", "1")
	})
}

// bare is a Lock without guards.
type bare struct{ locker.Lock }

func (bare) Err() error   { return nil }
func (bare) Name() string { return "bare" }

type wrapped struct{ bare }

func (wrapped) Unwrap() locker.Lock { return current }

var current locker.Lock

func TestGuardSeesThroughWrappers(t *testing.T) {
	eachStore(t, func(r *rig) {
		l := r.hold()
		current = l
		r.ok(uses["if"](r, txn.Guarded(r.store, wrapped{})))
		r.evict(l.guard)
		r.is(uses["if"](r, txn.Guarded(r.store, wrapped{})), locker.ErrLost)
	})
}

// inFlight is a lock that wants to know of commits under way.
type inFlight struct {
	*lock
	ended []bool
}

func (l *inFlight) BeginGuarded() (any, func(bool), error) {
	return l.guard, func(settled bool) { l.ended = append(l.ended, settled) }, l.Err()
}

type unknownStore struct{ txn.Store }

func (unknownStore) Commit(context.Context, txn.Commit) (txn.Result, error) {
	return txn.Result{}, txn.ErrUnknown
}

func TestGuardTellsTheLockOfCommitsUnderWay(t *testing.T) {
	eachStore(t, func(r *rig) {
		l := &inFlight{lock: r.hold()}
		r.ok(uses["if"](r, txn.Guarded(r.store, l)))
		r.is(uses["if"](r, txn.Guarded(unknownStore{r.store}, l)), txn.ErrUnknown)
		if len(l.ended) != 2 || !l.ended[0] || l.ended[1] {
			r.Errorf("told %v, want that the first commit is settled and the second is not", l.ended)
		}
	})
}

func TestStoreOfALockerWithoutOne(t *testing.T) {
	_, err := txn.StoreOf(struct{ locker.Locker }{})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("StoreOf = %v", err)
	}
	if _, err := txn.StoreOf(nil); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("StoreOf(nil) = %v", err)
	}
}
