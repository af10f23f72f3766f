package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

// post asks h to close account 7.
func post(t *testing.T, h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/accounts/7/close", nil))
	return w
}

func nothing(context.Context, string, uint64) error { return nil }

func open(t *testing.T, s *memlock.Server) *memlock.Client {
	t.Helper()
	l, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFreeAccountIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memlock.NewServer())
		defer l.Close()
		if w := post(t, handler(l, nothing)); w.Code != http.StatusNoContent {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

func TestHeldAccountIsAConflictAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memlock.NewServer()
		l, other := open(t, s), open(t, s)
		defer l.Close()
		defer other.Close()
		lock, err := other.Acquire(t.Context(), "account/7", locker.WithMetadata("moving money"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w := post(t, handler(l, nothing))
		if took := time.Since(began); took != patience {
			t.Errorf("the answer took %v", took)
		}
		if w.Code != http.StatusConflict {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		var body conflict
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if body.Doing != "moving money" || body.Token != lock.Token() {
			t.Errorf("the answer says %+v", body)
		}
	})
}

func TestAccountThatBecomesFreeInTimeIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memlock.NewServer()
		l, other := open(t, s), open(t, s)
		defer l.Close()
		defer other.Close()
		lock, err := other.Acquire(t.Context(), "account/7")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() {
			if err := lock.Release(context.Background()); err != nil {
				t.Error(err)
			}
		})
		if w := post(t, handler(l, nothing)); w.Code != http.StatusNoContent {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

func TestLossIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memlock.NewServer()
		l := open(t, s)
		defer l.Close()
		w := post(t, handler(l, func(ctx context.Context, _ string, _ uint64) error {
			if err := s.Evict("account/7"); err != nil {
				return err
			}
			<-ctx.Done() // the loss ends it
			return nil
		}))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
