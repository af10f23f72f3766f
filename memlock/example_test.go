package memlock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

// Two clients of one server exclude each other, and a hold that vanishes from
// the server is lost at once.
func Example() {
	ctx := context.Background()
	server := memlock.NewServer()
	a, err := server.Open(locker.WithIdentity("a"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := server.Open(locker.WithIdentity("b"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	lock, err := a.Acquire(ctx, "invoices")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = b.TryAcquire(ctx, "invoices")
	fmt.Println("b is refused:", errors.Is(err, locker.ErrHeld))

	if err := server.Evict("invoices"); err != nil {
		fmt.Println(err)
		return
	}
	<-lock.Done()
	fmt.Println("a has lost it:", errors.Is(lock.Err(), locker.ErrLost))

	next, err := b.TryAcquire(ctx, "invoices")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("b has a greater token:", next.Token() > lock.Token())
	// Output:
	// b is refused: true
	// a has lost it: true
	// b has a greater token: true
}

// sweep stands for the program under test: it works until it is told that its
// lock is lost, and then says why it stopped.
func sweep(ctx context.Context, l locker.Locker) error {
	return locker.Do(ctx, l, "sweep", func(ctx context.Context, lock locker.Lock) error {
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
				// one more step of the work
			}
		}
	})
}

// TestExampleProgramStopsWhenItsLockIsLost shows how a program is tested
// against a network that fails: half a minute of it takes no time.
func TestExampleProgramStopsWhenItsLockIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memlock.NewServer()
		client, err := server.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		rival, err := server.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer rival.Close()

		stopped := make(chan error, 1)
		go func() { stopped <- sweep(t.Context(), client) }()
		time.Sleep(3 * locker.DefaultTTL) // the program renews
		select {
		case err := <-stopped:
			t.Fatalf("the program stopped on a healthy network: %v", err)
		default:
		}

		client.Cut(memlock.Both)
		lock, err := rival.Acquire(t.Context(), "sweep") // when the lease has expired
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release(t.Context())
		select {
		case err := <-stopped:
			if !errors.Is(err, locker.ErrLost) {
				t.Errorf("the program stopped with %v, want ErrLost", err)
			}
		default:
			t.Error("the program still worked when another had the lock")
		}
		client.Heal()
	})
}
