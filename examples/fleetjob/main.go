// Command fleetjob is for cron on every machine of a fleet: whichever machine
// comes first does the job, the others leave at once.
//
// A lock makes the runs exclude each other. It does not make the job run once:
// a machine that comes after the first one is done gets the lock too, and one
// that dies half way leaves half of the work. So the job itself must know what
// is done; here it asks a ledger, and gives it the token, so that a machine that
// was paused in between cannot write over its successor.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	_ "github.com/lockerlib/locker/etcdlock"
	_ "github.com/lockerlib/locker/memlock"
	_ "github.com/lockerlib/locker/redislock"
)

// A ledger remembers which days are done. A real one is a table in a database,
// with the token compared in the same statement that writes.
type ledger struct {
	mu    sync.Mutex // guards all below
	token uint64     // the greatest that was seen
	days  map[string]bool
}

var errStale = errors.New("a later holder has been here")

// claim reports whether day is still to be done. From then on, smaller tokens
// are refused.
func (l *ledger) claim(day string, token uint64) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token < l.token {
		return false, errStale
	}
	l.token = token
	return !l.days[day], nil
}

func (l *ledger) finish(day string, token uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token < l.token {
		return errStale
	}
	if l.days == nil {
		l.days = make(map[string]bool)
	}
	l.days[day] = true
	return nil
}

// nightly does the work of day, unless it is done or somebody else is at it.
func nightly(ctx context.Context, l locker.Locker, books *ledger, day string, work func(context.Context) error) (string, error) {
	said := "done"
	ran, err := locker.TryDo(ctx, l, "nightly report", func(ctx context.Context, lock locker.Lock) error {
		todo, err := books.claim(day, lock.Token())
		if err != nil {
			return err
		}
		if !todo {
			said = "was done before"
			return nil
		}
		if err := work(ctx); err != nil { // ctx ends if the lock is lost
			return err
		}
		return books.finish(day, lock.Token())
	}, locker.WithMetadata("nightly report of "+day))
	switch {
	case err != nil:
		return "", err
	case !ran:
		return "somebody else is at it", nil
	}
	return said, nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := locker.Open(ctx, os.Getenv("LOCKER_URL"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	said, err := nightly(ctx, l, &ledger{}, time.Now().Format(time.DateOnly), func(context.Context) error {
		_, err := fmt.Println("counting …")
		return err
	})
	if err == nil {
		fmt.Println(said)
	}
	return err
}
