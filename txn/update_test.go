package txn_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
)

func TestUpdateReadsItsOwnWrites(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "1", "b", "2")
		r.ok(txn.Update(r.ctx, r.store, func(tx txn.Tx) error {
			tx.Put(r.key("a"), "10")
			tx.Put(r.key("new"), "n")
			tx.Delete(r.key("b"))
			got, err := tx.GetAll(r.ctx, r.key("a"), r.key("b"), r.key("new"), r.key("never"))
			if err != nil {
				return err
			}
			if len(got) != 2 || got[r.key("a")] != "10" || got[r.key("new")] != "n" {
				r.Errorf("GetAll = %v", got)
			}
			_, err = tx.Get(r.ctx, r.key("b"))
			r.is(err, txn.ErrNoKey)
			return nil
		}))
		r.want("a", "10", "b", "", "new", "n", "never", "")
	})
}

func TestUpdateThatFailsWritesNothing(t *testing.T) {
	refused := errors.New("refused")
	eachStore(t, func(r *rig) {
		r.put("a", "1")
		change := func(tx txn.Tx) {
			if _, err := tx.Get(r.ctx, r.key("a")); err != nil {
				r.Error(err)
			}
			tx.Put(r.key("a"), "2")
		}
		err := txn.Update(r.ctx, r.store, func(tx txn.Tx) error { change(tx); return refused })
		if err != refused { //nolint:errorlint // as it is
			r.Errorf("Update = %v, want the error of fn as it is", err)
		}
		func() {
			defer func() {
				if recover() != "panic" {
					r.Error("the panic did not go on")
				}
			}()
			txn.Update(r.ctx, r.store, func(tx txn.Tx) error { change(tx); panic("panic") })
		}()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			txn.Update(r.ctx, r.store, func(tx txn.Tx) error { change(tx); runtime.Goexit(); return nil })
		}()
		<-gone
		r.want("a", "1")
	})
}

// between makes fn of an Update that runs meddle after the reads of its first
// attempt, and counts the attempts.
func between(attempts *int, meddle func()) func() {
	return func() {
		*attempts++
		if *attempts == 1 {
			meddle()
		}
	}
}

func TestUpdateRetriesAfterAConflict(t *testing.T) {
	for name, meddle := range map[string]func(*rig){
		"changed":              func(r *rig) { r.put("a", "5") },
		"deleted":              func(r *rig) { r.ok(del(r, "a")) },
		"deleted and the same": func(r *rig) { r.ok(del(r, "a")); r.put("a", "1") },
		"written with the same": func(r *rig) {
			r.put("a", "1")
		},
		"a missing key appeared": func(r *rig) { r.put("missing", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(r *rig) {
				r.put("a", "1", "b", "1")
				attempts := 0
				meddle := between(&attempts, func() { meddle(r) })
				r.ok(txn.Update(r.ctx, r.store, func(tx txn.Tx) error {
					if _, err := tx.GetAll(r.ctx, r.key("a"), r.key("b"), r.key("missing")); err != nil {
						return err
					}
					meddle()
					tx.Put(r.key("b"), fmt.Sprint("attempt ", attempts))
					return nil
				}))
				r.want("b", "attempt 2")
			})
		})
	}
}

func del(r *rig, name string) error {
	_, err := txn.If().Then(txn.Delete(r.key(name))).Commit(r.ctx, r.other)
	return err
}

func TestUpdateIgnoresChangesThatItDidNotRead(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "1", "b", "1")
		attempts := 0
		meddle := between(&attempts, func() { r.put("b", "2", "c", "2") })
		r.ok(txn.Update(r.ctx, r.store, func(tx txn.Tx) error {
			if _, err := tx.Get(r.ctx, r.key("a")); err != nil {
				return err
			}
			meddle()
			tx.Put(r.key("c"), "3")
			return nil
		}))
		if attempts != 1 {
			r.Errorf("%d attempts", attempts)
		}
		r.want("b", "2", "c", "3")
	})
}

// Two doctors are on call, and one may leave if the other stays.
func TestWriteSkewIsImpossible(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("ann", "on", "bob", "on")
		leave := func(store txn.Store, who string, meddle func()) error {
			return txn.Update(r.ctx, store, func(tx txn.Tx) error {
				on, err := tx.GetAll(r.ctx, r.key("ann"), r.key("bob"))
				if err != nil {
					return err
				}
				meddle()
				if on[r.key("ann")] == "on" && on[r.key("bob")] == "on" {
					tx.Put(r.key(who), "off")
				}
				return nil
			})
		}
		attempts := 0
		r.ok(leave(r.store, "ann", between(&attempts, func() { r.ok(leave(r.other, "bob", func() {})) })))
		r.want("ann", "on", "bob", "off")
	})
}

func TestViewIsASnapshot(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "1", "b", "1")
		attempts := 0
		meddle := between(&attempts, func() { r.put("a", "2", "b", "2") })
		var a, b string
		r.ok(txn.View(r.ctx, r.store, func(v txn.Reader) (err error) {
			if a, err = v.Get(r.ctx, r.key("a")); err != nil {
				return err
			}
			meddle()
			b, err = v.Get(r.ctx, r.key("b"))
			return err
		}))
		if a != b {
			r.Errorf("a = %s and b = %s were never so at one instant", a, b)
		}
	})
}

// A function that hides the error of a read must not make half a snapshot pass.
func TestAFailedReadDoomsTheAttempt(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.is(txn.Update(r.ctx, r.store, func(tx txn.Tx) error {
			tx.Get(r.ctx, "")
			tx.Put(r.key("a"), "1")
			return nil
		}), locker.ErrInvalid)
		ended, cancel := context.WithCancel(r.ctx)
		cancel()
		r.is(txn.Update(r.ctx, r.store, func(tx txn.Tx) error {
			tx.Get(ended, r.key("b"))
			tx.Put(r.key("a"), "1")
			return nil
		}), context.Canceled)
		r.want("a", "")
	})
}

func TestUpdateGivesUpWhenItsContextEnds(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "0")
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(r.ctx)
		attempts := 0
		err := txn.Update(ctx, r.store, func(tx txn.Tx) error {
			if _, err := tx.Get(r.ctx, r.key("a")); err != nil {
				return err
			}
			r.put("a", "0")
			if attempts++; attempts == 3 {
				cancel(why)
			}
			tx.Put(r.key("a"), "1")
			return nil
		})
		r.is(err, why)
		r.is(err, context.Canceled)
		r.want("a", "0")
	})
}

// The inner one takes no turn that the outer one has, or both would wait.
func TestUpdateInsideAnUpdateEnds(t *testing.T) {
	eachStore(t, func(r *rig) {
		r.put("a", "0")
		ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
		defer cancel()
		attempts := 0
		r.ok(txn.Update(ctx, r.store, func(tx txn.Tx) error {
			if _, err := tx.Get(ctx, r.key("a")); err != nil {
				return err
			}
			if attempts++; attempts <= 2 {
				r.ok(txn.Update(ctx, r.store, func(tx txn.Tx) error {
					_, err := tx.Get(ctx, r.key("a"))
					tx.Put(r.key("a"), "inner")
					return err
				}))
			}
			tx.Put(r.key("a"), "outer")
			return nil
		}))
		r.want("a", "outer")
	})
}

func TestATxEndsWithItsFunction(t *testing.T) {
	eachStore(t, func(r *rig) {
		var kept txn.Tx
		r.ok(txn.Update(r.ctx, r.store, func(tx txn.Tx) error { kept = tx; return nil }))
		_, err := kept.Get(r.ctx, r.key("a"))
		r.is(err, txn.ErrDone)
		defer func() {
			if recover() == nil {
				r.Error("a write that nobody will commit was accepted")
			}
		}()
		kept.Put(r.key("a"), "1")
	})
}

func TestManyKeys(t *testing.T) {
	eachStore(t, func(r *rig) {
		var keys []string
		for i := range 250 {
			keys = append(keys, r.key(fmt.Sprint("many", i)))
		}
		for some := range slices.Chunk(keys, 100) {
			r.ok(txn.Update(r.ctx, r.store, func(tx txn.Tx) error {
				for _, k := range some {
					tx.Put(k, k)
				}
				return nil
			}))
		}
		r.ok(txn.View(r.ctx, r.store, func(v txn.Reader) error {
			got, err := v.GetAll(r.ctx, keys...)
			if len(got) != len(keys) || got[keys[249]] != keys[249] {
				r.Errorf("%d keys came back", len(got))
			}
			return err
		}))
	})
}

func TestBadArguments(t *testing.T) {
	eachStore(t, func(r *rig) {
		nothing := func(txn.Tx) error { return nil }
		put := txn.If().Then(txn.Put(r.key("a"), "1"))
		var none context.Context
		for name, err := range map[string]error{
			"nil context": txn.Update(none, r.store, nothing),
			"nil store":   txn.Update(r.ctx, nil, nothing),
			"nil fn":      txn.Update(r.ctx, r.store, nil),
			"nil view":    txn.View(r.ctx, r.store, nil),
			"bad key":     txn.Update(r.ctx, r.store, func(tx txn.Tx) error { tx.Put("\xff", ""); return nil }),
			"long key":    txn.CheckKey(string(make([]byte, txn.MaxKeyLen+1))),
			"if store":    second(put.Commit(r.ctx, nil)),
			"if context":  second(put.Commit(none, r.store)),
			"if zero op":  second(put.Then(txn.Op{}).Commit(r.ctx, r.store)),
			"if zero":     second(txn.If(txn.Cond{}).Commit(r.ctx, r.store)),
			"if twice":    second(put.Then(txn.Delete(r.key("a"))).Commit(r.ctx, r.store)),
			"if nil dst":  second(put.Else(txn.Get(r.key("a"), nil)).Commit(r.ctx, r.store)),
			"if key":      second(txn.If(txn.Exists("")).Commit(r.ctx, r.store)),
		} {
			if !errors.Is(err, locker.ErrInvalid) {
				r.Errorf("%s: %v", name, err)
			}
		}
		r.want("a", "")
	})
}

func second(_ bool, err error) error { return err }
