// Command leader runs on several machines; one of them leads. When the leader
// loses its lock it steps down, and stands for election again.
//
//	LOCKER_URL=etcd://127.0.0.1:2379/demo go run ./examples/leader
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/lockerlib/locker"
	_ "github.com/lockerlib/locker/etcdlock"
	_ "github.com/lockerlib/locker/memlock"
	_ "github.com/lockerlib/locker/redislock"
)

// campaign leads whenever it is elected, until ctx ends. lead is called once per
// term, with a context that ends when the term does, and must return then: the
// next leader waits for nobody. term grows from leader to leader; whoever takes
// orders should refuse those of an earlier term.
func campaign(ctx context.Context, l locker.Locker, lead func(ctx context.Context, term uint64) error) error {
	for ctx.Err() == nil {
		err := locker.Do(ctx, l, "leader", func(ctx context.Context, lock locker.Lock) error {
			return lead(ctx, lock.Token())
		})
		switch {
		case ctx.Err() != nil:
			// Told to stop; Do has released the lock.
		case errors.Is(err, locker.ErrLost):
			log.Printf("stepped down: %v", err)
		case errors.Is(err, locker.ErrUnavailable):
			log.Printf("no election: %v", err)
			pause(ctx, time.Second)
		default:
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
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
	return campaign(ctx, l, func(ctx context.Context, term uint64) error {
		log.Printf("leading, term %d", term)
		<-ctx.Done()
		return nil
	})
}
