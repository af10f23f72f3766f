package main

import (
	"context"
	"errors"
	"testing"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

func machine(t *testing.T, s *memlock.Server) locker.Locker {
	t.Helper()
	l, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestOneMachineWorksAndTheOthersLeave(t *testing.T) {
	s := memlock.NewServer()
	a, b := machine(t, s), machine(t, s)
	books := new(ledger)

	said, err := nightly(t.Context(), a, books, "monday", func(ctx context.Context) error {
		other, err := nightly(ctx, b, books, "monday", func(context.Context) error {
			t.Error("two machines work at once")
			return nil
		})
		if other != "somebody else is at it" {
			t.Errorf("the other machine says %q, %v", other, err)
		}
		return err
	})
	if said != "done" || err != nil {
		t.Errorf("the first machine says %q, %v", said, err)
	}

	said, err = nightly(t.Context(), b, books, "monday", func(context.Context) error {
		t.Error("the job is done twice")
		return nil
	})
	if said != "was done before" || err != nil {
		t.Errorf("a machine that comes late says %q, %v", said, err)
	}
}

func TestFailedJobIsDoneAgain(t *testing.T) {
	s := memlock.NewServer()
	a, b := machine(t, s), machine(t, s)
	books := new(ledger)
	broke := errors.New("the printer is on fire")
	if _, err := nightly(t.Context(), a, books, "monday", func(context.Context) error { return broke }); !errors.Is(err, broke) {
		t.Errorf("the error is %v", err)
	}
	if said, err := nightly(t.Context(), b, books, "monday", func(context.Context) error { return nil }); said != "done" || err != nil {
		t.Errorf("the next machine says %q, %v", said, err)
	}
}

func TestMachineThatLostTheLockFinishesNothing(t *testing.T) {
	s := memlock.NewServer()
	a, b := machine(t, s), machine(t, s)
	books := new(ledger)
	_, err := nightly(t.Context(), a, books, "monday", func(ctx context.Context) error {
		if err := s.Evict("nightly report"); err != nil {
			return err
		}
		// Meanwhile another machine begins, and this one goes on regardless.
		_, err := nightly(t.Context(), b, books, "tuesday", func(context.Context) error { return nil })
		return err
	})
	if !errors.Is(err, locker.ErrLost) || !errors.Is(err, errStale) {
		t.Errorf("the error is %v, want ErrLost and the refusal of the ledger", err)
	}
	if books.days["monday"] {
		t.Error("monday is marked as done by a machine that had lost its lock")
	}
}
