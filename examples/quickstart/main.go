// Command quickstart greets under a lock. LOCKER_URL chooses the backend:
//
//	LOCKER_URL=mem://demo go run ./examples/quickstart
//	LOCKER_URL=etcd://127.0.0.1:2379/demo go run ./examples/quickstart
//	LOCKER_URL=redis://127.0.0.1:6379/0 go run ./examples/quickstart
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

func main() {
	ctx := context.Background()
	l, err := locker.Open(ctx, os.Getenv("LOCKER_URL"))
	if err != nil {
		log.Fatal(err)
	}
	err = locker.Do(ctx, l, "greeting", func(_ context.Context, lock locker.Lock) error {
		_, err := fmt.Println("hello, under token", lock.Token())
		return err
	})
	if err = errors.Join(err, l.Close()); err != nil {
		log.Fatal(err)
	}
}
