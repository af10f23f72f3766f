//go:build unix

// Package dirlock is a complete backend: locks in a directory, for the processes
// of one machine. A name is a file with its queue. Each request holds flock(2) on
// a file beside it while it reads the queue and replaces it by rename(2): a process
// that dies leaves the old queue or the new one. Leases end by the wall clock.
// The directory belongs on a tmpfs such as /run/lock, empty at boot, tokens too.
package dirlock

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// Open opens the directory dir, which must exist.
func Open(dir string, opts ...locker.OpenOption) (locker.Locker, error) {
	cfg, err := locker.ResolveOpen(opts...)
	clock := driver.TakeClock(&cfg, driver.SystemClock())
	if err = errors.Join(err, cfg.Unused()); err != nil { // such as an option of another backend
		return nil, err
	}
	return driver.New(cfg, Backend{dir}, clock), nil
}

// A Backend is one client of a directory. It keeps nothing in memory.
type Backend struct{ Dir string }

// A queue is the content of a name's file. The first claim holds.
type queue struct {
	Last   uint64 // tenure
	Claims []claim
}

type claim struct {
	driver.Claim
	Tenure  uint64 // 0: not granted yet
	Expires time.Time
}

// change runs f on the queue of a name, and writes the queue if f says so. A
// request whose context has ended by the time that it has the file comes to
// nothing: that is what an uncertain Release needs.
func (b Backend) change(ctx context.Context, name string, f func(q *queue, now time.Time) bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("dirlock: %w: %w", locker.ErrUnavailable, err)
		}
	}()
	path := filepath.Join(b.Dir, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))) // any name is a file name
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which unlocks
	for syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	var q queue
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &q)
	}
	if ctx.Err() != nil || err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(ctx.Err(), err)
	}
	now := time.Now()
	q.Claims = slices.DeleteFunc(q.Claims, func(c claim) bool { return !now.Before(c.Expires) })
	if !f(&q, now) {
		return nil
	}
	data, err = json.Marshal(q)
	return errors.Join(err, os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path))
}

// find returns a claim and where it stands, and grants to the first. The claim
// is nil if it is not there.
func (q *queue) find(id string) (*claim, driver.Answer) {
	i := slices.IndexFunc(q.Claims, func(c claim) bool { return c.ID == id })
	if i < 0 {
		return nil, driver.Answer{State: driver.Gone}
	}
	c, first := &q.Claims[i], &q.Claims[0]
	if i > 0 {
		holder := locker.Holder{Client: first.Client, Owner: first.Owner, Metadata: first.Metadata}
		return c, driver.Answer{State: driver.Queued, TTL: c.TTL, Recheck: 20 * time.Millisecond, Holder: holder, Waiters: len(q.Claims) - 2}
	}
	if c.Tenure == 0 {
		q.Last++
		c.Tenure = q.Last
	}
	return c, driver.Answer{State: driver.Held, TTL: c.TTL, Tenure: c.Tenure}
}

// Claim appends c to the queue, or finds it there.
func (b Backend) Claim(ctx context.Context, c driver.Claim) (a driver.Answer, err error) {
	c.TTL = max(c.TTL, 50*time.Millisecond) // what a busy machine can keep alive
	err = b.change(ctx, c.Name, func(q *queue, now time.Time) bool {
		if found, _ := q.find(c.ID); found == nil {
			q.Claims = append(q.Claims, claim{Claim: c})
		}
		found, answer := q.find(c.ID)
		found.Claim, found.Expires = c, now.Add(c.TTL)
		if a = answer; c.Try && a.State == driver.Queued {
			a.State = driver.Refused // and nothing is written
		}
		return a.State != driver.Refused
	})
	return a, err
}

// Renew gives each claim its full TTL from now.
func (b Backend) Renew(ctx context.Context, refs []driver.Ref) ([]driver.Answer, error) {
	answers := make([]driver.Answer, len(refs))
	for i, r := range refs {
		_ = b.change(ctx, r.Name, func(q *queue, now time.Time) (found bool) { // else its State stays Unknown
			c, answer := q.find(r.ID)
			if answers[i] = answer; c != nil {
				c.Expires = now.Add(r.TTL)
			}
			return c != nil
		})
	}
	return answers, nil
}

// Release removes one claim.
func (b Backend) Release(ctx context.Context, r driver.Release) (found bool, err error) {
	err = b.change(ctx, r.Name, func(q *queue, _ time.Time) bool {
		before := len(q.Claims)
		q.Claims = slices.DeleteFunc(q.Claims, func(c claim) bool { return c.ID == r.ID })
		found = len(q.Claims) < before
		return found
	})
	return found, err
}

// Close has nothing to give back.
func (b Backend) Close(context.Context) error { return nil }
