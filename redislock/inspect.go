package redislock

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/lockerlib/locker"
)

// scanPage is how many keys of the server one step of List looks at.
const scanPage = 500

// Inspect implements driver.Inspector, by one script.
func (b *backend) Inspect(ctx context.Context, name string) (locker.Status, error) {
	call := inspectCall(keysOf(b.prefix, name), "waiters")
	if err := b.sender.do(ctx, call); err != nil {
		return locker.Status{}, b.fault(ctx, err)
	}
	return status(name, call)
}

func inspectCall(k keys, detail string) *call {
	return inspectScript.call([]string{k.hold(), k.places(), k.ends(), k.waiters()}, detail)
}

// status reads the answer of inspect.lua.
func status(name string, c *call) (locker.Status, error) {
	r := newReply(c.Val())
	if r.err == nil && len(r.values) == 0 {
		return locker.Status{}, locker.ErrNotHeld
	}
	s := locker.Status{Name: name, Holder: r.holder(0), WaiterCount: int(r.number(4))}
	for i := 5; i < len(r.values); i++ {
		since, rest, _ := strings.Cut(r.text(i), " ")
		_, about, _ := strings.Cut(rest, " ")
		w := parseInfo(about)
		us, _ := strconv.ParseInt(since, 10, 64)
		s.Waiters = append(s.Waiters, locker.Waiter{Client: w.Client, Owner: w.Owner, Metadata: w.Metadata, Since: time.UnixMicro(us)})
	}
	return s, r.err
}

// List implements driver.Lister. It walks over all keys of the database, in
// steps, so that the server is never held up for long.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[locker.Status, error] {
	return func(yield func(locker.Status, error) bool) {
		pattern := literal(b.prefix+"{"+escape(prefix)) + "*}:h"
		seen := make(map[string]bool) // SCAN may give a key twice
		for cursor := "0"; ; {
			scan := command("scan", cursor, "match", pattern, "count", scanPage)
			if err := b.sender.do(ctx, scan); err != nil {
				yield(locker.Status{}, b.fault(ctx, err))
				return
			}
			page := newReply(scan.Val())
			next, keys := page.text(0), page.list(1)
			var names []string
			for i := range keys.values {
				name, ok := nameOf(b.prefix, keys.text(i))
				if ok && strings.HasPrefix(name, prefix) && !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
			if err := errors.Join(page.err, keys.err); err != nil {
				yield(locker.Status{}, err)
				return
			}
			if !b.listNames(ctx, names, yield) {
				return
			}
			if cursor = next; cursor == "0" {
				return
			}
		}
	}
}

func (b *backend) listNames(ctx context.Context, names []string, yield func(locker.Status, error) bool) bool {
	for _, name := range names {
		call := inspectCall(keysOf(b.prefix, name), "")
		if err := b.sender.do(ctx, call); err != nil {
			yield(locker.Status{}, b.fault(ctx, err))
			return false
		}
		s, err := status(name, call)
		if errors.Is(err, locker.ErrNotHeld) {
			continue // it ended meanwhile
		}
		if !yield(s, err) || err != nil {
			return false
		}
	}
	return true
}

// Break implements driver.Breaker.
func (b *backend) Break(ctx context.Context, name string, tenure uint64) error {
	k := keysOf(b.prefix, name)
	call := breakScript.call(append(k.queue(), k.broken()), strconv.FormatUint(tenure, 10))
	if err := b.sender.do(ctx, call); err != nil {
		return b.fault(ctx, err)
	}
	found, err := b.flag(call)
	if err == nil && !found {
		err = locker.ErrNotHeld
	}
	return err
}
