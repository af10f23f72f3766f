// Command httpconflict is a web server whose handler waits for a lock for up to
// two seconds, and then answers 409 Conflict with who holds it.
//
//	LOCKER_URL=mem://demo go run ./examples/httpconflict &
//	curl -X POST '127.0.0.1:8080/accounts/7/close'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/lockerlib/locker"
	_ "github.com/lockerlib/locker/etcdlock"
	_ "github.com/lockerlib/locker/memlock"
	_ "github.com/lockerlib/locker/redislock"
)

const patience = 2 * time.Second

// conflict is the body of the answer 409. Holders are shown by their metadata,
// which is ours; their identity is a host name and a process, and no business
// of a customer.
type conflict struct {
	Doing     string `json:"doing,omitempty"`
	Token     uint64 `json:"token,omitempty"`
	FreeAfter string `json:"free_after,omitempty"` // if the holder is dead
	Waiting   int    `json:"waiting"`
}

// handler serves POST /accounts/{id}/close. shut does the work.
func handler(l locker.Locker, shut func(ctx context.Context, id string, token uint64) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accounts/{id}/close", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		err := locker.Do(r.Context(), l, "account/"+id, func(ctx context.Context, lock locker.Lock) error {
			return shut(ctx, id, lock.Token())
		}, locker.WithMaxWait(patience), locker.WithMetadata("closing"))

		var held *locker.HeldError
		var cleanup *locker.ReleaseError
		switch {
		case err == nil, errors.As(err, &cleanup): // the work is done, and was protected
			w.WriteHeader(http.StatusNoContent)
		case errors.As(err, &held):
			answer := conflict{Doing: held.Holder.Metadata, Token: held.Holder.Token, Waiting: held.Waiters}
			if held.Holder.Remaining > 0 {
				answer.FreeAfter = held.Holder.Remaining.Round(time.Second).String()
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(answer) // the client may have gone
		case errors.Is(err, locker.ErrInvalid):
			http.Error(w, "no such account", http.StatusNotFound)
		case errors.Is(err, locker.ErrUnavailable):
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		default: // ErrLost among them: what was written is in doubt
			http.Error(w, "the account may or may not be closed", http.StatusInternalServerError)
		}
	})
	return mux
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
	server := &http.Server{
		Addr: "127.0.0.1:8080", ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
		Handler: handler(l, func(ctx context.Context, id string, token uint64) error {
			log.Printf("closing account %q under token %d", id, token)
			select {
			case <-time.After(5 * time.Second):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	log.Printf("listening on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
