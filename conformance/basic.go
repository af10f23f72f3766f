package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

func basicChecks() []Check {
	return []Check{
		{ID: "B1", Class: Required, Within: 10, body: b1,
			Rule: "A released name can be acquired by another client at once."},
		{ID: "B2", Class: Required, Within: 6, body: b2,
			Rule: "While a hold lasts, Done is open and Err is nil; a release closes Done and Err is ErrReleased."},
		{ID: "B3", Class: Required, Within: 8, body: b3,
			Rule: "A clean release is never reported as a loss, not even later."},
		{ID: "B4", Class: Required, Within: 6, body: b4,
			Rule: "Name, owner, token, TTL and deadline are reported, and stay true while the hold lasts."},
		{ID: "B5", Class: Required, Within: 8, body: b5,
			Rule: "The methods of a Lock may be called concurrently."},
	}
}

func b1(t *trial) {
	a, b := t.pair()
	t.step("A and B acquire and release the same name in turn, 20 times")
	for i := range 20 {
		a.free("b1").drop()
		o := b.try(t.ctx, "b1")
		if o.err != nil {
			t.broken("the name is free once Release has returned nil", "round %d: B was refused after A's release: %v", i+1, o.err)
		}
		o.hold.drop()
	}
	t.measured("40 holds")
}

func b2(t *trial) {
	a := t.open("A")
	h := a.free("b2")
	t.step("A holds, and is looked at for two TTLs")
	for range 8 {
		h.held("while A held it")
		t.sleep(t.ttl() / 4)
	}
	h.held("while A held it")
	h.drop()
	if !isClosed(h.Done()) {
		t.broken("Done is closed once Release has returned", "Done was still open")
	}
	if err := h.Err(); !errors.Is(err, locker.ErrReleased) {
		t.broken("Err is ErrReleased after a release", "Err was %v", err)
	}
}

func b3(t *trial) {
	a := t.open("A")
	h := a.free("b3")
	var told errorBox
	stop := locker.AfterLoss(h.Lock, told.set)
	defer stop()
	t.step("A releases, and the handle is watched for two more TTLs")
	if err := h.release(); errors.Is(err, locker.ErrLost) {
		t.broken("the release of a live hold is no loss", "Release said %v", err)
	} else if err != nil {
		t.broken("Release of a live hold returns nil", "Release said %v", err)
	}
	for range 8 {
		if err := h.Err(); !errors.Is(err, locker.ErrReleased) || errors.Is(err, locker.ErrLost) {
			t.broken("a released hold is not lost", "Err was %v", err)
		}
		t.sleep(t.ttl() / 4)
	}
	if err := told.get(); err != nil {
		t.broken("nobody is told of a loss after a clean release", "AfterLoss was called with %v", err)
	}
}

func b4(t *trial) {
	a := t.open("A")
	ctx := t.ctx
	before := time.Now()
	owner, opts := t.owned("owner-b4")
	if !t.withholds(OfferMetadata) {
		opts = append(opts, locker.WithMetadata("about b4"))
	}
	o := a.acquire(ctx, "b4", opts...)
	if o.err != nil {
		t.unanswered(o.err)("a free name is acquired", "A got %v", o.err)
	}
	h := o.hold
	token, ttl := h.Token(), h.TTL()
	check := func(when string) {
		if h.Name() != "b4" {
			t.broken("Name is the name given to Acquire", "it was %q %s", h.Name(), when)
		}
		if h.Owner() != owner {
			t.broken("Owner is the owner given to Acquire", "it was %q %s", h.Owner(), when)
		}
		if (h.Token() == 0) != t.withholds(OfferTokens) || h.Token() != token {
			t.broken("Token is greater than 0 and does not change", "it was %d, and %d %s", token, h.Token(), when)
		}
		if h.TTL() != ttl || ttl < t.ttl() {
			t.broken("TTL is at least as asked and does not change", "%v was asked, it was %v, and %v %s", t.ttl(), ttl, h.TTL(), when)
		}
	}
	check("at first")
	told := !t.withholds(OfferDeadline)
	if d := h.Deadline(); told && (d.Before(before) || d.After(time.Now().Add(ttl))) {
		t.broken("Deadline lies within one TTL of the request", "it lay %s after it, with a TTL of %s", short(d.Sub(before)), short(ttl))
	}
	first := h.Deadline()
	t.step("A holds for one and a half TTLs")
	t.sleep(ttl * 3 / 2)
	check("after one and a half TTLs")
	h.held("after one and a half TTLs")
	if told && (!h.Deadline().After(first) || h.Deadline().Before(time.Now())) {
		t.broken("renewal moves the Deadline", "one and a half TTLs later it had moved by %s and lay %s ahead", short(h.Deadline().Sub(first)), short(time.Until(h.Deadline())))
	}
	h.drop()
	check("after the release")
	if other := a.free("b4 plain"); other.Owner() != "" {
		t.broken("without an owner, Owner is empty", "it was %q", other.Owner())
	}
}

func b5(t *trial) {
	a := t.open("A")
	t.step("8 goroutines use one Lock while it is held, released and over")
	for range t.rounds(20, 5) {
		h := a.free("b5")
		var wins counter
		var release sync.WaitGroup
		release.Add(1)
		t.each(8, func(i int) {
			for range 20 {
				_, _, _, _, _, _, _ = h.Name(), h.Owner(), h.Token(), h.TTL(), h.Deadline(), h.Done(), h.Err()
			}
			if i == 0 {
				release.Done()
			}
			release.Wait()
			switch err := h.Release(context.WithoutCancel(t.ctx)); {
			case err == nil:
				wins.add(1)
			case !errors.Is(err, locker.ErrReleased):
				t.broken("every Release but one says ErrReleased", "one said %v", err)
			}
		})
		if n := wins.get(); n != 1 {
			t.broken("of concurrent releases of one level exactly one returns nil", "%d did", n)
		}
	}
}
