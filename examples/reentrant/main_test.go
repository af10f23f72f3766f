package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

func TestChainsExcludeEachOther(t *testing.T) {
	l, err := memlock.NewServer().Open()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := &bank{l: l, balances: map[string]int{"userA": 100, "userB": 100}}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			from, to := "userA", "userB"
			if i%2 == 0 {
				from, to = to, from
			}
			if err := b.transfer(t.Context(), from, to, 1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if b.balances["userA"] != 100 || b.balances["userB"] != 100 {
		t.Errorf("the balances are %v", b.balances)
	}
}

// The other half of the promise: a call that does not belong to the chain waits.
func TestWithoutTheChainACallWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := memlock.NewServer().Open()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := &bank{l: l, balances: map[string]int{}}
		err = locker.Do(locker.Reentrant(t.Context()), l, "bank", func(inside context.Context, _ locker.Lock) error {
			if err := b.add(inside, "userA", 1); err != nil {
				t.Errorf("within the chain: %v", err)
			}
			outside, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return b.add(outside, "userA", 1)
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("outside of the chain: %v", err)
		}
		if b.balances["userA"] != 1 {
			t.Errorf("the balances are %v", b.balances)
		}
	})
}
