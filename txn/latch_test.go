package txn

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestLatchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Latches
		if !l.try([]string{"a", "b"}) || l.try([]string{"b", "c"}) || !l.try([]string{"c"}) {
			t.Fatal("try does not take exactly what is free")
		}
		order := make(chan string, 4)
		queue := func(name string, keys ...string) {
			go func() {
				if !l.wait(t.Context(), keys, time.Hour) {
					t.Errorf("%s gave up", name)
				}
				order <- name
			}()
			synctest.Wait()
		}
		queue("many", "a", "c")
		queue("small", "c") // must not starve the one before
		queue("free", "d")
		if got := <-order; got != "free" {
			t.Fatalf("%s went first", got)
		}
		if l.try([]string{"c"}) {
			t.Fatal("a newcomer went before those who wait")
		}
		l.release([]string{"c"})
		synctest.Wait()
		if len(order) != 0 {
			t.Fatalf("%s went though its turn was not there", <-order)
		}
		l.release([]string{"a", "b"})
		if got := <-order; got != "many" {
			t.Fatalf("%s went second", got)
		}
		l.release([]string{"a", "c"})
		if got := <-order; got != "small" {
			t.Fatalf("%s went third", got)
		}
		l.release([]string{"c", "d"})
		if len(l.taken) != 0 || len(l.queue) != 0 {
			t.Errorf("left: %v, %d in the queue", l.taken, len(l.queue))
		}
	})
}

func TestLatchesGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Latches
		l.try([]string{"a"})
		behind := make(chan bool)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, wait := range []func() bool{
			func() bool { return l.wait(t.Context(), []string{"a", "b"}, time.Second) },
			func() bool { return l.wait(ctx, []string{"a", "b"}, time.Hour) },
		} {
			result := make(chan bool)
			go func() { result <- wait() }()
			synctest.Wait()
			go func() { behind <- l.wait(t.Context(), []string{"b"}, time.Hour) }()
			time.Sleep(2 * time.Second)
			cancel()
			if <-result {
				t.Error("took keys that are taken")
			}
			if !<-behind {
				t.Error("whoever waited behind it does not get its turn")
			}
			l.release([]string{"b"})
		}
	})
}
