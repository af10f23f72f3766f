package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/lockerlib/locker"
)

func hostileChecks() []Check {
	return []Check{
		{ID: "Z1", Class: Required, Within: 6, body: z1,
			Rule: "A TTL of zero or less is ErrInvalid."},
		{ID: "Z2", Class: Required, Within: 8, body: z2,
			Rule: "A TTL of 1 ns is rounded up, reported, and runs out."},
		{ID: "Z3", Class: Required, Within: 6, body: z3,
			Rule: "A TTL beyond a day, up to the greatest number, is ErrInvalid and never overflows."},
		{ID: "Z4", Class: Required, Within: 6, body: z4,
			Rule: "An empty name is ErrInvalid."},
		{ID: "Z5", Class: Required, Within: 6, body: z5, Needs: []Power{PowerObserve},
			Rule: "A name that is too long is ErrInvalid and never reaches the server."},
		{ID: "Z6", Class: Required, Within: 6, body: z6,
			Rule: "A name that is not UTF-8 is ErrInvalid, so that no two names merge."},
		{ID: "Z7", Class: Required, Within: 6, body: z7,
			Rule: "A nil context or option, and an option of another backend, is ErrInvalid, and nothing panics."},
		{ID: "Z8", Class: Required, Within: 8, body: z8,
			Rule: "Owner and metadata with control, protocol and script characters are kept as they are."},
	}
}

// invalid checks that both ways to acquire refuse the arguments, and that they
// left the Locker as it was.
func (c *client) invalid(ctx context.Context, what, name string, opts ...locker.Option) {
	t := c.t
	for how, call := range map[string]func(context.Context, string, ...locker.Option) (locker.Lock, error){"Acquire": c.Acquire, "TryAcquire": c.TryAcquire} {
		var (
			lock locker.Lock
			err  error
		)
		within, cancel := context.WithTimeout(t.ctx, t.ttl())
		ended := t.bounded(within, func() { lock, err = call(ctx, name, opts...) })
		cancel()
		switch {
		case !ended:
			t.broken(what+" is ErrInvalid", "%s was still blocked after %s", how, short(t.ttl()))
		case lock != nil:
			t.broken(what+" is ErrInvalid", "%s returned a lock with a TTL of %s", how, short(lock.TTL()))
		case !errors.Is(err, locker.ErrInvalid):
			t.broken(what+" is ErrInvalid", "%s returned %v", how, err)
		}
	}
}

func z1(t *trial) {
	a, b := t.pair()
	for _, d := range []time.Duration{0, -1, -time.Hour, math.MinInt64} {
		a.invalid(t.ctx, fmt.Sprintf("a TTL of %v", d), "z1", locker.WithTTL(d))
	}
	b.free("z1").drop()
}

func z2(t *trial) {
	a, b := t.pair()
	t.step("A acquires with a TTL of 1 ns, and leaves the lock alone")
	ctx, cancel := context.WithTimeout(t.ctx, 3*t.ttl())
	defer cancel()
	o := a.acquire(ctx, "z2", locker.WithTTL(1))
	for o.hold == nil && errors.Is(o.err, locker.ErrUnavailable) && ctx.Err() == nil {
		t.sleep(t.spacing())
		o = a.acquire(ctx, "z2", locker.WithTTL(1))
	}
	if o.hold == nil {
		// On a server whose floor is shorter than a round trip no such hold can
		// be had, and that must be said. Whether one runs out is not shown then.
		if !errors.Is(o.err, locker.ErrUnavailable) && !errors.Is(o.err, context.DeadlineExceeded) {
			t.broken("a TTL of 1 ns gives a lock, or says that it ran out", "it gave %v", o.err)
		}
		b.within(t.freed(t.ttl()), "a lease of 1 ns that ran out leaves nothing", "z2").drop()
		t.need(false, "within %s no hold with a TTL of 1 ns could be had: %v", short(3*t.ttl()), o.err)
	}
	ttl := o.hold.TTL()
	if ttl < 1 || ttl > time.Minute {
		t.broken("a TTL of 1 ns is rounded up to what the backend can keep", "it was reported as %v", ttl)
	}
	t.measured("rounded to %s", short(ttl))
	t.sleep(min(ttl, t.ttl()) / 2)
	if o2 := b.try(t.ctx, "z2"); o2.hold != nil {
		if !t.withholds(OfferNotice) && o.hold.Err() == nil {
			t.broken("while a hold of a short lease has no Err, nobody else gets the name", "B got it, and Err of A was nil")
		}
		o2.hold.drop()
	}
	if _, can := t.rig.(Crasher); can {
		proved := t.crash(a)
		b.within(t.freed(ttl), "a lease of 1 ns, rounded up, runs out", "z2").drop()
		proved()
	} else {
		_ = o.hold.release()
		b.within(t.freed(ttl), "a lease of 1 ns, rounded up, runs out", "z2").drop()
	}
}

func z3(t *trial) {
	a, b := t.pair()
	for _, d := range []time.Duration{locker.MaxTTL + 1, 100 * 365 * 24 * time.Hour, math.MaxInt64} {
		a.invalid(t.ctx, fmt.Sprintf("a TTL of %v", d), "z3", locker.WithTTL(d))
	}
	b.free("z3").drop()
	t.step("the longest TTL that is allowed is granted and released")
	h := a.free("z3", locker.WithTTL(locker.MaxTTL))
	if h.TTL() < locker.MaxTTL || !t.withholds(OfferDeadline) && time.Until(h.Deadline()) < locker.MaxTTL/2 {
		t.broken("the longest TTL is granted", "TTL was %v and Deadline %v ahead", h.TTL(), time.Until(h.Deadline()))
	}
	h.held("with the longest TTL")
	h.drop()
	b.within(t.prompt(), "a hold with the longest TTL can be released", "z3").drop()
}

func z4(t *trial) {
	t.open("A").invalid(t.ctx, "an empty name", "")
}

func z5(t *trial) {
	a := t.open("A")
	a.free("z5").drop()
	t.sleep(t.prompt())
	o := t.rig.(Observer)
	before := o.Requests()
	t.need(before > 0, "the rig counts no requests")
	for _, n := range []int{locker.MaxNameLen + 1, 1 << 20} {
		a.invalid(t.ctx, fmt.Sprintf("a name of %d bytes", n), strings.Repeat("n", n))
	}
	if sent := o.Requests() - before; sent > 0 {
		// A renewal of what a client keeps may fall into the same instant.
		t.need(t.profile.Bubble, "%d requests were sent meanwhile", sent)
		t.broken("a name that is too long never reaches the server", "%d requests were sent", sent)
	}
	longest := strings.Repeat("n", locker.MaxNameLen)
	a.free(longest).drop()
}

func z6(t *trial) {
	a := t.open("A")
	for _, name := range []string{"\xff", "\xfe", "p\xc3", "\xc0\x80", "\xed\xa0\x80", "p\xff\xff"} {
		a.invalid(t.ctx, fmt.Sprintf("the name %+q", name), name)
	}
	t.step("the name that careless code would make of them is free")
	a.free("\ufffd").drop()
}

func z7(t *trial) {
	a := t.open("A")
	//lint:ignore SA1012 a nil context is what is tested
	var none context.Context
	a.invalid(none, "a nil context", "z7")
	a.invalid(t.ctx, "a nil Option", "z7", nil)
	a.invalid(t.ctx, "a nil Option", "z7", locker.WithTTL(t.ttl()), nil)
	a.invalid(t.ctx, "an empty owner", "z7", locker.WithReentry(""))
	a.invalid(t.ctx, "an owner that is not UTF-8", "z7", locker.WithReentry("\xff"))
	a.invalid(t.ctx, "a negative patience", "z7", locker.WithMaxWait(-1))
	a.invalid(t.ctx, "metadata that is too long", "z7", locker.WithMetadata(strings.Repeat("m", locker.MaxMetadataLen+1)))
	a.invalid(t.ctx, "an owner that is too long", "z7", locker.WithReentry(strings.Repeat("o", locker.MaxOwnerLen+1)))
	h := a.free("z7")
	var err error
	t.step("A releases under a nil context")
	if !t.bounded(limited(t.ctx, t), func() { err = h.Release(none) }) {
		t.broken("Release under a nil context returns", "it was still blocked")
	}
	if err != nil && !errors.Is(err, locker.ErrInvalid) {
		t.broken("Release under a nil context works or is ErrInvalid", "it said %v", err)
	}
	if err != nil {
		h.held("though its release was refused")
		h.drop()
	}
	a.within(t.prompt(), "the name is free", "z7").drop()
	t.step("a client is opened with an option of another backend")
	if _, err := t.rig.Open(t.ctx, locker.WithBackend(othersOption{}, "z7")); !errors.Is(err, locker.ErrInvalid) {
		t.broken("an option of another backend is ErrInvalid", "opening a client with one said %v", err)
	}
}

// othersOption is the key of an option that no backend can know.
type othersOption struct{}

func z8(t *trial) {
	a, b := t.pair()
	for i, text := range []string{
		"\r\n$6\r\nDEL x\r\n", "'; return redis.call('flushall') --", "]]", "\x00\x01\x7f", "\"}{\"", "%s%d%n",
		"../../etc", "\u202etxt", "|:,;=/", "\\u0000\\", strings.Repeat("é", locker.MaxOwnerLen/2),
	} {
		name := fmt.Sprintf("z8 %d", i)
		h := a.free(name, locker.WithReentry(text), locker.WithMetadata(text))
		if h.Owner() != text {
			t.broken("Owner is kept as given", "%s became %s", quote(text), quote(h.Owner()))
		}
		o := b.try(t.ctx, name)
		var held *locker.HeldError
		if !errors.As(o.err, &held) {
			t.broken("a held name is refused with a *HeldError", "B got %v", o.err)
		}
		if got := held.Holder; got.Metadata != "" && got.Metadata != text || got.Owner != "" && got.Owner != text {
			t.broken("owner and metadata are shown as given", "%s became owner %s and metadata %s", quote(text), quote(got.Owner), quote(got.Metadata))
		}
		if s, err := locker.Inspect(t.ctx, b.Locker, name); err == nil {
			if s.Holder.Metadata != text || s.Holder.Owner != text || s.Holder.Token != h.Token() {
				t.broken("Inspect shows owner, metadata and token as given", "%s became %+v", quote(text), s.Holder)
			}
		} else if !errors.Is(err, errors.ErrUnsupported) {
			t.broken("Inspect shows a held name", "it said %v", err)
		}
		a.enter(name, text, 1)[0].drop()
		h.drop()
	}
}
