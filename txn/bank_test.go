package txn_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockerlib/locker/txn"
)

var errPoor = errors.New("not enough money")

// transfer moves an amount, unless the account would go below zero.
func transfer(r *rig, s txn.Store, from, to string, amount int) error {
	return txn.Update(r.ctx, s, func(tx txn.Tx) error {
		a, err := balance(r, tx, from)
		if err != nil {
			return err
		}
		b, err := balance(r, tx, to)
		if err != nil {
			return err
		}
		if a < amount {
			return errPoor
		}
		tx.Put(r.key(from), strconv.Itoa(a-amount))
		tx.Put(r.key(to), strconv.Itoa(b+amount))
		return nil
	})
}

func balance(r *rig, v txn.Reader, name string) (int, error) {
	s, err := v.Get(r.ctx, r.key(name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(s)
}

// Transfers between a few accounts, by two clients with many goroutines each:
// the total never
// changes, and nobody goes below zero, whenever one looks.
func TestBank(t *testing.T) {
	const accounts, workers, each, start = 5, 8, 60, 20
	eachStore(t, func(r *rig) {
		name := func(i int) string { return fmt.Sprint("account", i) }
		for i := range accounts {
			r.put(name(i), strconv.Itoa(start))
		}
		l := r.hold()
		var done, poor atomic.Int64
		audit := func() {
			total := 0
			err := txn.View(r.ctx, r.other, func(v txn.Reader) error {
				total = 0
				for i := range accounts {
					b, err := balance(r, v, name(i))
					if err != nil {
						return err
					}
					if b < 0 {
						r.Errorf("%s has %d", name(i), b)
					}
					total += b
				}
				return nil
			})
			if err != nil || total != accounts*start {
				r.Errorf("the total is %d, want %d (%v)", total, accounts*start, err)
			}
		}
		var wg sync.WaitGroup
		for w := range workers {
			s := []txn.Store{r.store, r.other}[w%2]
			if w%4 < 2 {
				s = txn.Guarded(s, l)
			}
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			wg.Go(func() {
				for i := range each {
					if i%10 == 0 {
						audit()
					}
					from := rnd.IntN(accounts)
					to := (from + 1 + rnd.IntN(accounts-1)) % accounts
					switch err := transfer(r, s, name(from), name(to), 1+rnd.IntN(start)); {
					case err == nil:
						done.Add(1)
					case errors.Is(err, errPoor):
						poor.Add(1)
					default:
						r.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		audit()
		if done.Load() == 0 || poor.Load() == 0 {
			r.Errorf("nothing was shown: %d done, %d refused", done.Load(), poor.Load())
		}
		r.Logf("%d transfers, %d refused", done.Load(), poor.Load())
	})
}
