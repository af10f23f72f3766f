// Command reentrant shows a chain of calls each of which takes the same lock,
// so that each is also safe to be called by itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/lockerlib/locker"
	_ "github.com/lockerlib/locker/etcdlock"
	_ "github.com/lockerlib/locker/memlock"
	_ "github.com/lockerlib/locker/redislock"
)

// A bank is a toy: its balances are protected by the lock "bank" alone.
type bank struct {
	l        locker.Locker
	balances map[string]int
}

var errPoor = errors.New("not enough money")

// transfer takes the lock, and the calls in it enter that same hold. Without
// Reentrant they would wait for it, as any other caller does.
func (b *bank) transfer(ctx context.Context, from, to string, amount int) error {
	return locker.Do(locker.Reentrant(ctx), b.l, "bank", func(ctx context.Context, _ locker.Lock) error {
		if err := b.add(ctx, from, -amount); err != nil {
			return err
		}
		return b.add(ctx, to, amount)
	})
}

// add may be called from within transfer, or from anywhere else.
func (b *bank) add(ctx context.Context, account string, amount int) error {
	return locker.Do(ctx, b.l, "bank", func(context.Context, locker.Lock) error {
		if b.balances[account]+amount < 0 {
			return fmt.Errorf("%s: %w", account, errPoor)
		}
		b.balances[account] += amount
		return nil
	})
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	l, err := locker.Open(ctx, os.Getenv("LOCKER_URL"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	b := &bank{l: l, balances: map[string]int{"userA": 15}}
	if err := b.transfer(ctx, "userA", "userB", 10); err != nil {
		return err
	}
	fmt.Println(b.balances)
	if err := b.transfer(ctx, "userA", "userB", 10); !errors.Is(err, errPoor) {
		return fmt.Errorf("the second transfer: %w", err)
	}
	fmt.Println(b.balances)
	return nil
}
