package txn_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/lockerlib/locker"
	_ "github.com/lockerlib/locker/etcdlock"
	_ "github.com/lockerlib/locker/memlock"
	"github.com/lockerlib/locker/txn"
)

// Ten move from one account to another while the lock is held, unless the first
// account would go below zero. Set LOCKER_URL to etcd://127.0.0.1:2379/example
// to run it there.
func Example() {
	ctx := context.Background()
	l, err := locker.Open(ctx, cmp.Or(os.Getenv("LOCKER_URL"), "mem://txn-example"))
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	store, err := txn.StoreOf(l)
	if err != nil {
		log.Panic(err)
	}
	_, err = txn.If().Then(txn.Put("userA", "15"), txn.Put("userB", "0")).Commit(ctx, store)
	if err != nil {
		log.Panic(err)
	}

	broke := errors.New("userA has too little")
	transfer := func(ctx context.Context, lock locker.Lock) error {
		safe := txn.Guarded(store, lock)
		return txn.Update(ctx, safe, func(tx txn.Tx) error {
			from, err := number(ctx, tx, "userA")
			if err != nil {
				return err
			}
			to, err := number(ctx, tx, "userB")
			if err != nil {
				return err
			}
			if from < 10 {
				return broke // nothing is written
			}
			tx.Put("userA", strconv.Itoa(from-10))
			tx.Put("userB", strconv.Itoa(to+10))
			return nil
		})
	}
	for range 2 {
		switch err := locker.Do(ctx, l, "accounts", transfer); {
		case errors.Is(err, locker.ErrLost):
			log.Panic("somebody else may hold the lock; nothing was written: ", err)
		case errors.Is(err, broke):
			fmt.Println("refused:", err)
		case err != nil:
			log.Panic(err)
		default:
			fmt.Println("done")
		}
	}

	err = txn.View(ctx, store, func(r txn.Reader) error {
		accounts, err := r.GetAll(ctx, "userA", "userB")
		fmt.Println(accounts)
		return err
	})
	if err != nil {
		log.Panic(err)
	}
	// Output:
	// done
	// refused: userA has too little
	// map[userA:5 userB:10]
}

func number(ctx context.Context, r txn.Reader, key string) (int, error) {
	v, err := r.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(v)
}

// A value is replaced only if nobody else has written it since it was read.
func ExampleIf() {
	ctx := context.Background()
	l, err := locker.Open(ctx, cmp.Or(os.Getenv("LOCKER_URL"), "mem://txn-if-example"))
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	store, err := txn.StoreOf(l)
	if err != nil {
		log.Panic(err)
	}

	var read, now txn.Entry
	ok, err := txn.If().Then(txn.Get("leader", &read), txn.Put("leader", "ann")).Commit(ctx, store)
	fmt.Println(ok, err)
	ok, err = txn.If(txn.ModRevision("leader").Equal(read.ModRevision)).
		Then(txn.Put("leader", "bob")).
		Else(txn.Get("leader", &now)).
		Commit(ctx, store)
	fmt.Println(ok, err, now.Value)
	// Output:
	// true <nil>
	// false <nil> ann
}
