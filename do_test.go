package locker_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/memlock"
)

func open(t *testing.T, server *memlock.Server, opts ...locker.OpenOption) *memlock.Client {
	t.Helper()
	c, err := server.Open(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func free(t *testing.T, l locker.Locker, name string) {
	t.Helper()
	lock, err := l.TryAcquire(context.Background(), name)
	if err != nil {
		t.Fatalf("%q is not free: %v", name, err)
	}
	if err := lock.Release(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestDoReturnsTheErrorOfTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memlock.NewServer())
		failure := errors.New("no paper")
		var inside context.Context
		err := locker.Do(t.Context(), l, "x", func(ctx context.Context, lock locker.Lock) error {
			inside = ctx
			if lock.Name() != "x" || ctx.Err() != nil {
				t.Errorf("inside: %q, %v", lock.Name(), ctx.Err())
			}
			return failure
		})
		if err != failure { //nolint:errorlint // as it is: joined with nothing
			t.Fatal(err)
		}
		if inside.Err() == nil {
			t.Fatal("the context of fn is alive after fn")
		}
		free(t, l, "x")
	})
}

func TestDoTellsOfALoss(t *testing.T) {
	failure := errors.New("no paper")
	for _, fnErr := range []error{nil, failure} {
		synctest.Test(t, func(t *testing.T) {
			server := memlock.NewServer()
			l := open(t, server)
			err := locker.Do(t.Context(), l, "x", func(ctx context.Context, lock locker.Lock) error {
				server.Evict("x")
				<-ctx.Done()
				if cause := context.Cause(ctx); !errors.Is(cause, locker.ErrLost) {
					t.Errorf("cause: %v", cause)
				}
				return fnErr
			})
			if !errors.Is(err, locker.ErrLost) || fnErr != nil && !errors.Is(err, fnErr) {
				t.Fatal(err)
			}
		})
	}
}

func TestDoReleasesOnPanicAndGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memlock.NewServer())
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = locker.Do(t.Context(), l, "x", func(context.Context, locker.Lock) error { panic("boom") })
		}()
		free(t, l, "x")

		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_ = locker.Do(t.Context(), l, "x", func(context.Context, locker.Lock) error {
				runtime.Goexit()
				return nil
			})
		}()
		<-gone
		free(t, l, "x")
	})
}

func TestDoWhoseCleanupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memlock.NewServer())
		err := locker.Do(t.Context(), l, "x", func(context.Context, locker.Lock) error {
			l.DropReplies(1)
			return nil
		})
		var rel *locker.ReleaseError
		if !errors.As(err, &rel) || rel.Name != "x" || errors.Is(err, locker.ErrLost) {
			t.Fatal(err)
		}
	})
}

func TestDoWhenTheFunctionReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memlock.NewServer())
		err := locker.Do(t.Context(), l, "x", func(ctx context.Context, lock locker.Lock) error {
			return lock.Release(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestTryDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memlock.NewServer()
		a, b := open(t, server), open(t, server)
		nothing := func(context.Context, locker.Lock) error { return nil }
		ran, err := locker.TryDo(t.Context(), a, "x", func(ctx context.Context, _ locker.Lock) error {
			if ran, err := locker.TryDo(ctx, b, "x", nothing); ran || err != nil {
				t.Errorf("on a held name: %v, %v", ran, err)
			}
			// A failing try of fn itself is fn's error, not a reason to say that
			// fn did not run.
			_, err := b.TryAcquire(ctx, "x")
			return err
		})
		if !ran || !errors.Is(err, locker.ErrHeld) {
			t.Fatalf("ran %v, %v", ran, err)
		}
		if ran, err := locker.TryDo(t.Context(), a, "", nothing); ran || !errors.Is(err, locker.ErrInvalid) {
			t.Fatalf("ran %v, %v", ran, err)
		}
	})
}

func TestContextAndAfterLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memlock.NewServer()
		l := open(t, server)
		lock, err := l.Acquire(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		for _, lock := range []locker.Lock{lock, foreign{lock}} {
			ctx, cancel := locker.Context(t.Context(), lock)
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
			cancel()
			if ctx.Err() == nil {
				t.Fatal("cancel did nothing")
			}
			called := make(chan error, 1)
			stop := locker.AfterLoss(lock, func(err error) { called <- err })
			if !stop() || stop() {
				t.Fatal("stop says otherwise than what it did")
			}
		}
		lost := make(chan error, 2)
		locker.AfterLoss(lock, func(err error) { lost <- err })
		locker.AfterLoss(foreign{lock}, func(err error) { lost <- err })
		ctx, cancel := locker.Context(t.Context(), lock)
		defer cancel()
		server.Evict("x")
		<-ctx.Done()
		for range 2 {
			if err := <-lost; !errors.Is(err, locker.ErrLost) {
				t.Fatal(err)
			}
		}
		if !errors.Is(context.Cause(ctx), locker.ErrLost) {
			t.Fatal(context.Cause(ctx))
		}

		lock, err = l.Acquire(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		locker.AfterLoss(lock, func(err error) { t.Errorf("called on a release: %v", err) })
		locker.AfterLoss(foreign{lock}, func(err error) { t.Errorf("called on a release: %v", err) })
		if err := lock.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	})
}

// foreign hides the powers of a Lock, as a Lock of another library would.
type foreign struct{ lock locker.Lock }

func (f foreign) Name() string                      { return f.lock.Name() }
func (f foreign) Owner() string                     { return f.lock.Owner() }
func (f foreign) Token() uint64                     { return f.lock.Token() }
func (f foreign) TTL() time.Duration                { return f.lock.TTL() }
func (f foreign) Deadline() time.Time               { return f.lock.Deadline() }
func (f foreign) Done() <-chan struct{}             { return f.lock.Done() }
func (f foreign) Err() error                        { return f.lock.Err() }
func (f foreign) Release(ctx context.Context) error { return f.lock.Release(ctx) }

// wrapper adds nothing and keeps the powers of what it wraps.
type wrapper struct{ locker.Locker }

func (w wrapper) Unwrap() locker.Locker { return w.Locker }

func TestAdminThroughAWrapper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		server := memlock.NewServer()
		a := open(t, server, locker.WithIdentity("anna"))
		l := wrapper{a}
		if _, err := locker.Inspect(ctx, l, "x"); !errors.Is(err, locker.ErrNotHeld) {
			t.Fatal(err)
		}
		lock, err := l.Acquire(ctx, "x", locker.WithMetadata("why"))
		if err != nil {
			t.Fatal(err)
		}
		status, err := locker.Inspect(ctx, l, "x")
		if err != nil || status.Holder.Client != "anna" || status.Holder.Metadata != "why" || status.Holder.Token != lock.Token() {
			t.Fatalf("%+v, %v", status, err)
		}
		for status, err := range locker.List(ctx, l, "") {
			if err != nil || status.Name != "x" {
				t.Fatalf("%+v, %v", status, err)
			}
		}
		if err := locker.Break(ctx, l, "x", lock.Token()+1<<20); !errors.Is(err, locker.ErrNotHeld) {
			t.Fatal(err)
		}
		if err := locker.Break(ctx, l, "x", lock.Token()); err != nil {
			t.Fatal(err)
		}
		<-lock.Done()
		var lost *locker.LostError
		if !errors.As(lock.Err(), &lost) || lost.Reason != locker.LostBroken {
			t.Fatal(lock.Err())
		}
		type bare struct{ locker.Locker }
		if _, err := locker.Inspect(ctx, bare{a}, "x"); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
	})
}

func TestBadArgumentsAreErrInvalid(t *testing.T) {
	l := open(t, memlock.NewServer())
	ctx := t.Context()
	long := strings.Repeat("x", locker.MaxNameLen+1)
	for what, opts := range map[string][]locker.Option{
		"zero TTL":          {locker.WithTTL(0)},
		"negative TTL":      {locker.WithTTL(-1)},
		"huge TTL":          {locker.WithTTL(1<<63 - 1)},
		"negative wait":     {locker.WithMaxWait(-1)},
		"nil option":        {nil},
		"empty owner":       {locker.WithReentry("")},
		"invalid metadata":  {locker.WithMetadata("\xff")},
		"too much metadata": {locker.WithMetadata(strings.Repeat("m", locker.MaxMetadataLen+1))},
	} {
		if _, err := l.TryAcquire(ctx, "x", opts...); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"", long, "\xff"} {
		if _, err := l.Acquire(ctx, name); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("name %.10q: %v", name, err)
		}
	}
	var none context.Context
	if _, err := l.Acquire(none, "x"); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("nil context: %v", err)
	}
	if err := locker.Do(ctx, nil, "x", nil); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("nil Locker: %v", err)
	}
	if _, err := memlock.NewServer().Open(nil); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("nil OpenOption: %v", err)
	}
}

func TestReentrantContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memlock.NewServer())
		ctx := locker.Reentrant(t.Context())
		outer, err := l.Acquire(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		inner, err := l.Acquire(locker.Reentrant(ctx), "x")
		if err != nil || inner.Token() != outer.Token() {
			t.Fatal(err)
		}
		if _, err := l.TryAcquire(locker.Reentrant(t.Context()), "x"); !errors.Is(err, locker.ErrHeld) {
			t.Fatalf("another chain: %v", err)
		}
	})
}

func TestOpenTellsWhatItKnows(t *testing.T) {
	ctx := t.Context()
	secret := "s3cret"
	for _, url := range []string{"nosuch://user:" + secret + "@host/", secret + "://", secret, "mem://x?nosuch=" + secret} {
		_, err := locker.Open(ctx, url)
		if !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("Open: %v", err)
			continue
		}
		if strings.Contains(err.Error(), secret) && !strings.HasPrefix(url, secret+":") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	_, err := locker.Open(ctx, "nosuch://host")
	if err == nil || !strings.Contains(err.Error(), "mem") {
		t.Errorf("the error does not name the known schemes: %v", err)
	}
	a, err := locker.Open(ctx, "mem://shared-by-name?ttl=3s")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := locker.Open(ctx, "mem://shared-by-name")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	lock, err := a.Acquire(ctx, "x")
	if err != nil || lock.TTL() != 3*time.Second {
		t.Fatal(lock, err)
	}
	if _, err := b.TryAcquire(ctx, "x"); !errors.Is(err, locker.ErrHeld) {
		t.Fatal(err)
	}
}
