package locker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

// The code of README.md is taken from this file, word by word; a test compares.

func sendInvoices(ctx context.Context, l locker.Locker) (err error) {
	lock, err := l.Acquire(ctx, "invoices", locker.WithMaxWait(10*time.Second))
	if errors.Is(err, locker.ErrHeld) {
		return fmt.Errorf("somebody else is at it: %w", err) // says who
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release(ctx)) }() // ErrLost if it was lost

	work, cancel := locker.Context(ctx, lock) // ends when the lock is lost
	defer cancel()
	for _, invoice := range due {
		// The receiver refuses a token that is smaller than one it has seen.
		if err := send(work, invoice, lock.Token()); err != nil {
			return err
		}
	}
	return nil
}

var due = []string{"F-1", "F-2"}

func send(ctx context.Context, invoice string, token uint64) error {
	if token == 0 {
		return errors.New("not fenced")
	}
	fmt.Println("sending", invoice)
	return context.Cause(ctx)
}

func Example() {
	ctx := context.Background()
	l, err := locker.Open(ctx, "mem://readme")
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	err = sendInvoices(ctx, l)
	if errors.Is(err, locker.ErrLost) {
		fmt.Println("some invoices may have gone out unprotected:", err)
	} else if err != nil {
		fmt.Println(err)
	}
	// Output:
	// sending F-1
	// sending F-2
}

func Example_lost() {
	ctx := context.Background()
	server := memlock.NewServer()
	l, err := server.Open()
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	err = locker.Do(ctx, l, "invoices", func(ctx context.Context, _ locker.Lock) error {
		if err := server.Evict("invoices"); err != nil { // as an operator might
			return err
		}
		<-ctx.Done() // ends with the hold
		return nil
	})
	fmt.Println(errors.Is(err, locker.ErrLost))
	var lost *locker.LostError
	if errors.As(err, &lost) {
		fmt.Println(lost.Name, lost.Reason)
	}
	// Output:
	// true
	// invoices evicted
}

func ExampleDo() {
	ctx := context.Background()
	l, err := memlock.NewServer().Open()
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	err = locker.Do(ctx, l, "greeting", func(_ context.Context, lock locker.Lock) error {
		fmt.Println("holding", lock.Name(), "for at least", lock.TTL())
		return nil
	})
	if err != nil {
		log.Panic(err)
	}
	// Output: holding greeting for at least 15s
}

func ExampleTryDo() {
	ctx := context.Background()
	server := memlock.NewServer()
	a, err := server.Open()
	if err != nil {
		log.Panic(err)
	}
	defer a.Close()
	b, err := server.Open()
	if err != nil {
		log.Panic(err)
	}
	defer b.Close()

	ran, err := locker.TryDo(ctx, a, "nightly", func(ctx context.Context, _ locker.Lock) error {
		ran, err := locker.TryDo(ctx, b, "nightly", func(context.Context, locker.Lock) error { return nil })
		fmt.Println("the second machine ran:", ran)
		return err
	})
	fmt.Println("the first machine ran:", ran, err)
	// Output:
	// the second machine ran: false
	// the first machine ran: true <nil>
}

func ExampleReentrant() {
	l, err := memlock.NewServer().Open()
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	inner := func(ctx context.Context) error {
		return locker.Do(ctx, l, "ledger", func(context.Context, locker.Lock) error {
			fmt.Println("inside, twice")
			return nil
		})
	}
	ctx := locker.Reentrant(context.Background())
	err = locker.Do(ctx, l, "ledger", func(ctx context.Context, _ locker.Lock) error {
		return inner(ctx) // enters the hold that is there, instead of waiting for it
	})
	if err != nil {
		log.Panic(err)
	}
	// Output: inside, twice
}

func ExampleInspect() {
	ctx := context.Background()
	l, err := memlock.NewServer().Open(locker.WithIdentity("machine 7"))
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	err = locker.Do(ctx, l, "backup", func(ctx context.Context, lock locker.Lock) error {
		status, err := locker.Inspect(ctx, l, "backup")
		if err != nil {
			return err
		}
		fmt.Printf("%s holds it: %s\n", status.Holder.Client, status.Holder.Metadata)
		fmt.Println(status.Holder.Token == lock.Token())
		return nil
	}, locker.WithMetadata("backup of disk 3"))
	if err != nil {
		log.Panic(err)
	}
	_, err = locker.Inspect(ctx, l, "backup")
	fmt.Println(errors.Is(err, locker.ErrNotHeld))
	// Output:
	// machine 7 holds it: backup of disk 3
	// true
	// true
}

func ExampleBreak() {
	ctx := context.Background()
	server := memlock.NewServer()
	stuck, err := server.Open()
	if err != nil {
		log.Panic(err)
	}
	defer stuck.Close()
	operator, err := server.Open()
	if err != nil {
		log.Panic(err)
	}
	defer operator.Close()

	lock, err := stuck.Acquire(ctx, "backup")
	if err != nil {
		log.Panic(err)
	}
	status, err := locker.Inspect(ctx, operator, "backup")
	if err != nil {
		log.Panic(err)
	}
	if err := locker.Break(ctx, operator, "backup", status.Holder.Token); err != nil {
		log.Panic(err)
	}
	<-lock.Done() // the holder is told
	fmt.Println(errors.Is(lock.Err(), locker.ErrLost))
	err = locker.Break(ctx, operator, "backup", status.Holder.Token)
	fmt.Println(errors.Is(err, locker.ErrNotHeld)) // never hits a successor
	// Output:
	// true
	// true
}

func ExampleAfterLoss() {
	ctx := context.Background()
	server := memlock.NewServer()
	l, err := server.Open()
	if err != nil {
		log.Panic(err)
	}
	defer l.Close()
	lock, err := l.Acquire(ctx, "migration")
	if err != nil {
		log.Panic(err)
	}
	told := make(chan error)
	stop := locker.AfterLoss(lock, func(err error) { told <- err })
	defer stop()
	if err := server.Evict("migration"); err != nil {
		log.Panic(err)
	}
	fmt.Println(errors.Is(<-told, locker.ErrLost))
	// Output: true
}
