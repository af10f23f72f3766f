package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker/memlock"
)

func TestLeaderStepsDownOnLossAndIsSucceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memlock.NewServer()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()

		type term struct {
			leader int
			number uint64
		}
		elected := make(chan term, 10)
		deposed := make(chan term, 10)
		var clients []*memlock.Client
		ended := make(chan error, 2)
		for i := range 2 {
			l, err := s.Open()
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, l)
			go func() {
				ended <- campaign(ctx, l, func(ctx context.Context, number uint64) error {
					elected <- term{i, number}
					<-ctx.Done()
					deposed <- term{i, number}
					return nil
				})
			}()
		}

		first := <-elected
		clients[first.leader].Cut(memlock.Both)
		if gone := <-deposed; gone != first {
			t.Fatalf("%+v stepped down, %+v was cut off", gone, first)
		}
		select {
		case next := <-elected:
			t.Fatalf("%+v was elected before %+v had stepped down", next, first)
		default:
		}
		second := <-elected
		if second.leader == first.leader || second.number <= first.number {
			t.Errorf("after %+v came %+v", first, second)
		}

		clients[first.leader].Heal()
		time.Sleep(time.Minute) // fake time: long enough for a usurper
		select {
		case third := <-elected:
			t.Errorf("%+v was elected beside %+v", third, second)
		default:
		}

		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		for _, l := range clients {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if left := s.Residue(); len(left) > 0 {
			t.Errorf("left on the server: %q", left)
		}
	})
}
