package testbed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/testbed/servers"
)

// With the rights that docs/operations.md names, a user can do everything under
// its prefix, and nothing under one that begins with it.
func TestRights(t *testing.T) {
	t.Run("Redis", func(t *testing.T) {
		s := ownServer(t, servers.OwnRedis)
		admin := redis.NewClient(&redis.Options{Addr: s.Addr})
		defer admin.Close()
		rights := []any{"ACL", "SETUSER", "app", "on", ">secret", "resetchannels", "~app{*", "&apppush:*"}
		for right := range strings.FieldsSeq("+@read +@write +@scripting +@pubsub +@connection +time -@dangerous") {
			rights = append(rights, right)
		}
		if err := admin.Do(t.Context(), rights...).Err(); err != nil {
			t.Fatal(err)
		}
		user := redis.NewClient(&redis.Options{Addr: s.Addr, Username: "app", Password: "secret"})
		defer user.Close()
		for _, command := range [][]any{{"FLUSHALL"}, {"KEYS", "*"}, {"CLIENT", "PAUSE", "1"}, {"GET", "app2{job}:h"}, {"PUBLISH", "app2push:x", ""}} {
			if err := user.Do(t.Context(), command...).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
				t.Errorf("%v is not refused: %v", command, err)
			}
		}
		hasRights(t, func(prefix string) string {
			return fmt.Sprintf("redis://app:secret@%s/0?prefix=%s", s.Addr, prefix)
		})
	})
	for _, mode := range []string{"lease", "session"} {
		t.Run("etcd "+mode, func(t *testing.T) {
			s := ownServer(t, servers.OwnEtcd)
			admin, err := clientv3.New(clientv3.Config{Endpoints: s.Addresses(), Logger: zap.NewNop()})
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close()
			ctx := t.Context()
			_, err1 := admin.RoleAdd(ctx, "app")
			_, err2 := admin.RoleGrantPermission(ctx, "app", "app//", clientv3.GetPrefixRangeEnd("app//"), clientv3.PermissionType(clientv3.PermReadWrite))
			_, err3 := admin.UserAdd(ctx, "app", "secret")
			_, err4 := admin.UserGrantRole(ctx, "app", "app")
			_, err5 := admin.RoleAdd(ctx, "root")
			_, err6 := admin.UserAdd(ctx, "root", "root")
			_, err7 := admin.UserGrantRole(ctx, "root", "root")
			_, err8 := admin.AuthEnable(ctx)
			if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
				t.Fatal(err)
			}
			hasRights(t, func(prefix string) string {
				return fmt.Sprintf("etcd://app:secret@%s/%s?mode=%s", s.Addr, prefix, mode)
			})
		})
	}
}

func ownServer(t *testing.T, own func(context.Context, servers.Options) (*servers.Server, error)) *servers.Server {
	t.Helper()
	s, err := own(t.Context(), servers.Options{})
	if err != nil && servers.Required() != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

func hasRights(t *testing.T, url func(prefix string) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	renewed := make(chan struct{}, 100)
	trace := locker.Trace{Renewed: func(string, uint64, time.Time) { renewed <- struct{}{} }}
	open := func() locker.Locker {
		l, err := locker.Open(ctx, url("app"), locker.WithTrace(&trace))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	a, b := open(), open()
	held, err := a.Acquire(ctx, "job", locker.WithTTL(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.TryAcquire(ctx, "job"); !errors.Is(err, locker.ErrHeld) {
		t.Errorf("a try at a held name: %v", err)
	}
	waiting := make(chan locker.Lock, 1)
	go func() {
		next, err := b.Acquire(ctx, "job")
		if err != nil {
			t.Errorf("a waiter: %v", err)
		}
		waiting <- next
	}()
	select {
	case <-renewed:
	case <-ctx.Done():
		t.Fatal("no renewal was answered")
	}
	status, err := locker.Inspect(ctx, b, "job")
	if err != nil || status.Holder.Token != held.Token() {
		t.Errorf("Inspect: %+v, %v", status, err)
	}
	if err := locker.Break(ctx, b, "job", held.Token()); err != nil {
		t.Errorf("Break: %v", err)
	}
	next := <-waiting
	if next == nil {
		return
	}
	var names []string
	for status, err := range locker.List(ctx, a, "") {
		if err != nil {
			t.Errorf("List: %v", err)
		}
		names = append(names, status.Name)
	}
	if len(names) != 1 || names[0] != "job" {
		t.Errorf("List tells of %q", names)
	}
	if err := next.Release(ctx); err != nil {
		t.Errorf("Release: %v", err)
	}

	l, err := locker.Open(ctx, url("app2"))
	if err == nil {
		defer l.Close()
		_, err = l.TryAcquire(ctx, "job")
	}
	if err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "permission denied") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a user without rights there is told: %v", err)
	}
}
