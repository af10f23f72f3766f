package txn_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/lockerlib/locker/etcdlock"
	"github.com/lockerlib/locker/memlock"
	"github.com/lockerlib/locker/txn"
	"github.com/lockerlib/locker/txn/etcdtxn"
	"github.com/lockerlib/locker/txn/memtxn"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// locks is a lock server with the store on it.
type locks struct {
	*testing.T
	ctx   context.Context
	key   string
	open  func() locker.Locker
	evict func(lock locker.Lock)
}

func eachBackend(t *testing.T, fn func(s *locks)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := memlock.NewServer()
			fn(&locks{
				T: t, ctx: t.Context(), key: "k",
				open: func() locker.Locker {
					l, err := server.Open()
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { l.Close() })
					return l
				},
				evict: func(lock locker.Lock) {
					if err := server.Evict(lock.Name()); err != nil {
						t.Fatal(err)
					}
				},
			})
		})
	})
	for _, mode := range []etcdlock.Mode{etcdlock.Lease, etcdlock.Session} {
		t.Run("etcd "+mode.String(), func(t *testing.T) {
			address := os.Getenv("LOCKER_TEST_ETCD")
			if address == "" {
				if os.Getenv("CI") == "true" {
					t.Fatal("LOCKER_TEST_ETCD is not set, and under CI nothing may be skipped")
				}
				t.Skip("needs an etcd: set LOCKER_TEST_ETCD=host:port")
			}
			client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			prefix := "txn-locked-test/" + rand.Text()
			t.Cleanup(func() {
				resp, err := client.Delete(context.Background(), prefix, clientv3.WithPrefix(), clientv3.WithPrevKV())
				if err != nil || resp.Deleted > 1 {
					t.Errorf("left after Close: %v (%v)", resp.PrevKvs, err)
				}
			})
			fn(&locks{
				T: t, ctx: t.Context(), key: prefix + "/k",
				open: func() locker.Locker {
					l, err := etcdlock.New(client, etcdlock.WithPrefix(prefix), etcdlock.WithMode(mode))
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { l.Close() })
					return l
				},
				evict: func(lock locker.Lock) {
					if _, err := client.Delete(context.Background(), guardOf(t, lock).(etcdtxn.Guard).Key); err != nil {
						t.Fatal(err)
					}
				},
			})
		})
	}
}

func guardOf(t *testing.T, l locker.Lock) any {
	t.Helper()
	g, ok := locker.As[driver.Guarded](l)
	if !ok {
		t.Fatalf("%T is not driver.Guarded", l)
	}
	guard, err := g.Guard()
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func (s *locks) acquire(l locker.Locker) locker.Lock {
	s.Helper()
	lock, err := l.Acquire(s.ctx, "name", locker.WithTTL(5*time.Second))
	if err != nil {
		s.Fatal(err)
	}
	return lock
}

func (s *locks) store(l locker.Locker) txn.Store {
	s.Helper()
	store, err := txn.StoreOf(l)
	if err != nil {
		s.Fatal(err)
	}
	return store
}

func (s *locks) write(store txn.Store, v string) error {
	return txn.Update(s.ctx, store, func(tx txn.Tx) error {
		if _, err := tx.Get(s.ctx, s.key); err != nil && !errors.Is(err, txn.ErrNoKey) {
			return err
		}
		tx.Put(s.key, v)
		return nil
	})
}

func (s *locks) want(store txn.Store, v string) {
	s.Helper()
	var e txn.Entry
	if _, err := txn.If().Then(txn.Get(s.key, &e)).Commit(s.ctx, store); err != nil || e.Value != v {
		s.Errorf("the value is %q (%v), want %q", e.Value, err, v)
	}
}

func TestAHeldLockGuards(t *testing.T) {
	for name, end := range map[string]func(s *locks, lock locker.Lock, other locker.Locker){
		"released": func(s *locks, lock locker.Lock, _ locker.Locker) {
			if err := lock.Release(s.ctx); err != nil {
				s.Error(err)
			}
		},
		"evicted": func(s *locks, lock locker.Lock, _ locker.Locker) { s.evict(lock) },
		"broken": func(s *locks, lock locker.Lock, other locker.Locker) {
			if err := locker.Break(s.ctx, other, "name", lock.Token()); err != nil {
				s.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(s *locks) {
				a, b := s.open(), s.open()
				lock := s.acquire(a)
				stale := &lockOf{Lock: lock, guard: guardOf(s.T, lock)}
				if err := s.write(txn.Guarded(s.store(a), lock), "first"); err != nil {
					s.Fatal(err)
				}
				end(s, lock, b)
				// The handle, and one that has not heard of it yet.
				for _, l := range []locker.Lock{lock, stale} {
					if err := s.write(txn.Guarded(s.store(b), l), "late"); !errors.Is(err, locker.ErrLost) {
						s.Errorf("%T: %v, want ErrLost", l, err)
					}
				}
				next := s.acquire(a) // the same name on the same client
				if err := s.write(txn.Guarded(s.store(a), stale), "late"); !errors.Is(err, locker.ErrLost) {
					s.Errorf("with a new hold: %v, want ErrLost", err)
				}
				s.want(s.store(b), "first")
				if err := s.write(txn.Guarded(s.store(b), next), "next"); err != nil {
					s.Error(err)
				}
				s.want(s.store(b), "next")
				if err := next.Release(s.ctx); err != nil {
					s.Error(err)
				}
				a.Close()
				b.Close()
			})
		})
	}
}

// lockOf is a handle that believes in its hold whatever happens.
type lockOf struct {
	locker.Lock
	guard any
}

func (l *lockOf) Err() error          { return nil }
func (l *lockOf) Guard() (any, error) { return l.guard, nil }

func TestALockOfAnotherBackendDoesNotGuard(t *testing.T) {
	server := memlock.NewServer()
	l, err := server.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lock, err := l.Acquire(t.Context(), "name")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]txn.Store{
		"another server":  memtxn.New(memlock.NewServer()),
		"another backend": etcdtxn.New(&clientv3.Client{}),
	} {
		_, err := txn.If().Then(txn.Put("k", "v")).Commit(t.Context(), txn.Guarded(s, lock))
		if !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// A whole machine stands still, its clocks too: only the guard helps.
func TestGuardAfterAPauseThatNoClockSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memlock.NewServer()
		stopped := driver.Clock{Now: time.Now, SinceBoot: func() time.Duration { return time.Second }}
		paused, err := server.Open(driver.WithClock(stopped))
		if err != nil {
			t.Fatal(err)
		}
		defer paused.Close()
		lock, err := paused.Acquire(t.Context(), "name", locker.WithTTL(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		paused.Cut(memlock.Both)
		next, err := server.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		successor, err := next.Acquire(t.Context(), "name")
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Err(); err != nil {
			t.Fatalf("the handle knows (%v), so this shows nothing", err)
		}
		store := memtxn.New(server)
		write := txn.If().Then(txn.Put("k", "v"))
		if _, err := write.Commit(t.Context(), txn.Guarded(store, lock)); !errors.Is(err, locker.ErrLost) {
			t.Errorf("the paused holder: %v, want ErrLost", err)
		}
		if _, err := write.Commit(t.Context(), txn.Guarded(store, successor)); err != nil {
			t.Errorf("the successor: %v", err)
		}
		successor.Release(t.Context())
	})
}

func TestMemoryStoreOverAFaultyLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memlock.NewServer()
		l, err := server.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		store, err := txn.StoreOf(l)
		if err != nil {
			t.Fatal(err)
		}
		get := func() string {
			es, err := memtxn.New(server).Snapshot().Read(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			return es[0].Value
		}
		add := func(ctx context.Context) error {
			return txn.Update(ctx, store, func(tx txn.Tx) error {
				v, err := tx.GetAll(t.Context(), "k")
				if err != nil {
					return err
				}
				l.DropReplies(1) // that of the commit
				tx.Put("k", v["k"]+"x")
				return nil
			})
		}
		for range 3 {
			if err := add(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := get(); got != "xxx" {
			t.Errorf("after three commits whose answers were lost: %q", got)
		}

		// Sent late, and settled before it arrives.
		l.Delay(memlock.Up, 5*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.AfterFunc(1100*time.Millisecond, l.Heal)
		_, err = txn.If().Then(txn.Put("k", "late")).Commit(ctx, store)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, txn.ErrUnknown) {
			t.Errorf("Commit = %v, want that it is settled as not done", err)
		}
		time.Sleep(10 * time.Second)
		if got := get(); got != "xxx" {
			t.Errorf("the late commit was applied: %q", got)
		}

		l.Cut(memlock.Both)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = txn.If().Then(txn.Put("k", "late")).Commit(ctx, store)
		if !errors.Is(err, txn.ErrUnknown) || !errors.Is(err, locker.ErrUnavailable) {
			t.Errorf("Commit = %v, want ErrUnknown", err)
		}
		l.Heal()
	})
}
