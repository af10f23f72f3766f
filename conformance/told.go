package conformance

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockerlib/locker"
)

// crowd is one name, who holds it and who waits for it.
type crowd struct {
	holder   locker.Holder
	waiters  []locker.Waiter
	inspects bool // Inspect can tell
}

// o10 does not demand that anything is told of a holder but its token by
// Inspect: what a backend does not know is zero. What is told must be right.
func o10(t *trial) {
	onlooker := t.open("D", locker.WithIdentity("o10 onlooker"))
	enter := func(label, who string) (*client, []locker.Option, locker.Waiter) {
		is := locker.Waiter{Client: "o10 " + who}
		var opts []locker.Option
		if !t.withholds(OfferReentry) {
			is.Owner = "owner " + who
			opts = append(opts, locker.WithReentry(is.Owner))
		}
		if !t.withholds(OfferMetadata) {
			is.Metadata = "metadata " + who
			opts = append(opts, locker.WithMetadata(is.Metadata))
		}
		return t.open(label, locker.WithIdentity(is.Client)), opts, is
	}
	a, opts, is := enter("A", "holder")
	h := a.free("o10", opts...)
	now := crowd{holder: locker.Holder{Client: is.Client, Owner: is.Owner, Metadata: is.Metadata, Token: h.Token()}}
	_, err := locker.Inspect(t.ctx, onlooker.Locker, "o10")
	now.inspects = !errors.Is(err, errors.ErrUnsupported)

	t.step("A holds, B and C come to wait, and D is told of them")
	told := onlooker.told("o10", now)
	var queue []<-chan outcome
	for i, who := range []string{"first", "second"} {
		c, opts, is := enter(string(rune('B'+i)), who)
		queue = append(queue, c.queued(t.ctx, "o10", opts...))
		now.waiters = append(now.waiters, is)
		told = onlooker.told("o10", now) || told
	}
	h.drop()
	if !t.profile.FIFO {
		// Either may be next.
		t.each(len(queue), func(i int) {
			t.grant(queue[i], 2*t.ttl()+t.prompt(), "every waiter is served").drop()
		})
	} else {
		for _, next := range queue {
			t.grant(next, t.prompt(), "a release wakes the waiter promptly").drop()
		}
	}
	if !told && !now.inspects {
		t.refuses("nothing is told of holders and waiters: a *HeldError has the name only, and Inspect says: %v", err)
	}
}

// told checks what a refused try and Inspect tell, and reports whether the try
// told anything beyond the name.
func (c *client) told(name string, now crowd) (anything bool) {
	t := c.t
	if now.inspects {
		c.inspects(name, now)
	}
	o := c.try(t.ctx, name)
	var held *locker.HeldError
	if !errors.As(o.err, &held) {
		t.broken("a held name is refused with a *HeldError", "%s got %v", c.label, o.err)
	}
	now.named(t, "a *HeldError", held.Holder)
	// Where nobody can look who is there, one may still be on its way.
	if n := held.Waiters; n != 0 && n != len(now.waiters) && (now.inspects || n > len(now.waiters)) {
		t.broken("a *HeldError counts the clients that wait, if any", "%d waited, and it told %d", len(now.waiters), n)
	}
	return held.Holder != locker.Holder{} || held.Waiters != 0
}

// inspects waits until Inspect tells of all who wait, and judges the rest.
func (c *client) inspects(name string, now crowd) {
	t := c.t
	var s locker.Status
	for until := time.Now().Add(2 * t.ttl()); ; t.sleep(t.spacing() / 4) {
		var err error
		if s, err = locker.Inspect(t.ctx, c.Locker, name); err != nil {
			t.broken("Inspect shows a held name", "it said %v", err)
		}
		if s.WaiterCount >= len(now.waiters) || time.Now().After(until) {
			break
		}
	}
	if s.WaiterCount != len(now.waiters) || len(s.Waiters) != len(now.waiters) {
		t.broken("Inspect tells who waits", "%d clients waited: it counted %d, and named %d", len(now.waiters), s.WaiterCount, len(s.Waiters))
	}
	if s.Name != name || s.Holder.Token != now.holder.Token {
		t.broken("Inspect tells the name and the token of the holder", "that of %s was %d, and it told %d of %s", quote(name), now.holder.Token, s.Holder.Token, quote(s.Name))
	}
	now.named(t, "Inspect", s.Holder)
	left := slices.Clone(now.waiters)
	for i, w := range s.Waiters {
		at := slices.IndexFunc(left, func(is locker.Waiter) bool {
			return right(w.Client, is.Client) && right(w.Owner, is.Owner) && right(w.Metadata, is.Metadata)
		})
		if at < 0 || t.profile.FIFO && at != 0 {
			t.broken("Inspect tells who waits, in the order of the queue", "waiter %d of %v was told as %s", i+1, clientsOf(now.waiters), describe(w.Client, w.Owner, w.Metadata))
		}
		left = slices.Delete(left, at, at+1)
	}
}

// named checks what is told of the holder.
func (now crowd) named(t *trial, how string, h locker.Holder) {
	is := now.holder
	if !right(h.Client, is.Client) || !right(h.Owner, is.Owner) || !right(h.Metadata, is.Metadata) || h.Token != 0 && h.Token != is.Token {
		t.broken(how+" names the holder, as far as it is known", "it was %s under token %d, and told as %s under token %d",
			describe(is.Client, is.Owner, is.Metadata), is.Token, describe(h.Client, h.Owner, h.Metadata), h.Token)
	}
}

// right reports whether told is what is, or nothing.
func right(told, is string) bool { return told == "" || told == is }

func describe(client, owner, metadata string) string {
	return fmt.Sprintf("%s (owner %s, metadata %s)", quote(client), quote(owner), quote(metadata))
}

func clientsOf(waiters []locker.Waiter) []string {
	names := make([]string, len(waiters))
	for i, w := range waiters {
		names[i] = w.Client
	}
	return names
}
