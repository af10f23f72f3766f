package conformance

import (
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

// An Offer is something that a whole group of checks takes for granted, and
// that a lock made for other purposes may not have at all.
type Offer string

// What a backend offers unless its profile withholds it.
const (
	OfferTokens   Offer = "fencing tokens"   // withheld: Token is 0
	OfferDeadline Offer = "a deadline"       // withheld: Deadline is the zero time
	OfferReentry  Offer = "re-entry"         // withheld: WithReentry is errors.ErrUnsupported
	OfferMetadata Offer = "metadata"         // withheld: WithMetadata is errors.ErrUnsupported
	OfferPatience Offer = "a bounded wait"   // withheld: WithMaxWait is errors.ErrUnsupported
	OfferRenewal  Offer = "renewal"          // withheld: a hold ends after one TTL
	OfferNotice   Offer = "notice of a loss" // withheld: Done stays open when the hold is gone
)

// offerOf tells which checks are about an offer as a whole. Without it, they
// ask instead whether it is really not there.
var offerOf = map[string]Offer{
	"F1": OfferTokens, "F2": OfferTokens, "F3": OfferTokens, "F4": OfferTokens, "F5": OfferTokens, "F6": OfferTokens, "Y6": OfferTokens,
	"E6": OfferDeadline, "E7": OfferDeadline, "Y5": OfferDeadline,
	"R1": OfferReentry, "R3": OfferReentry, "R4": OfferReentry, "R5": OfferReentry, "R6": OfferReentry, "R7": OfferReentry, "R8": OfferReentry,
	"Z8": OfferMetadata,
	"C7": OfferPatience,
	"N1": OfferRenewal, "N2": OfferRenewal, "N3": OfferRenewal, "N4": OfferRenewal, "N5": OfferRenewal, "N6": OfferRenewal, "N7": OfferRenewal,
	"L1": OfferNotice, "L2": OfferNotice, "L3": OfferNotice, "L4": OfferNotice, "L5": OfferNotice, "L6": OfferNotice, "O11": OfferNotice,
}

// withholds reports whether the backend declares that it has none of o.
func (t *trial) withholds(o Offer) bool {
	_, withheld := t.profile.Withholds[o]
	return withheld
}

// owned is the option to acquire for an owner, and what Owner says then, where
// owners are offered.
func (t *trial) owned(owner string) (string, []locker.Option) {
	if t.withholds(OfferReentry) {
		return "", nil
	}
	return owner, []locker.Option{locker.WithReentry(owner)}
}

// disordered reports whether b's token must be greater than a's, and is not.
func (t *trial) disordered(a, b locker.Lock) bool {
	return !t.withholds(OfferTokens) && b.Token() <= a.Token()
}

// unsupported ends the check as refused if err says, as the profile does, that
// an option is not offered. Where nothing is declared, err is the check's.
func (t *trial) unsupported(err error) {
	declared := t.withholds(OfferReentry) || t.withholds(OfferMetadata) || t.withholds(OfferPatience)
	if declared && errors.Is(err, errors.ErrUnsupported) {
		t.refuses("declared not offered, and refused: %v", err)
	}
}

// withheld is the body of a check whose offer is declared to be missing: it
// must be missing visibly, so that nobody relies on it.
func (t *trial) withheld(o Offer) {
	why := t.profile.Withholds[o]
	a, b := t.pair()
	t.step("A asks for what is declared not to be offered: %s", o)
	stale := func(seen string) {
		t.settle(StaleClaim, "no "+string(o)+", because it is declared: "+why, seen)
		panic(stopped{})
	}
	for option, opt := range map[Offer]locker.Option{
		OfferReentry:  locker.WithReentry("owner"),
		OfferMetadata: locker.WithMetadata("metadata"),
		OfferPatience: locker.WithMaxWait(t.ttl()),
	} {
		if option != o {
			continue
		}
		out := a.acquire(t.ctx, "withheld", opt)
		t.unsupported(out.err)
		if out.err != nil {
			t.broken("what is not offered is errors.ErrUnsupported", "Acquire said %v", out.err)
		}
		stale("Acquire took the option")
	}

	h := a.free("withheld")
	switch o {
	case OfferTokens:
		if h.Token() != 0 {
			stale("a hold has a token")
		}
		t.refuses("declared not offered (%s): Token is 0", why)
	case OfferDeadline:
		if !h.Deadline().IsZero() {
			stale("a hold has a deadline")
		}
		t.refuses("declared not offered (%s): Deadline is the zero time", why)
	case OfferRenewal:
		t.unrenewed(h, b, why, stale)
	case OfferNotice:
		t.unnoticed(h, why, stale)
	default:
		t.notShown("the profile withholds %q, which is no offer", o)
	}
}

func (t *trial) unrenewed(h *hold, b *client, why string, stale func(string)) {
	t.sleep(t.freed(h.TTL()))
	o := b.try(t.ctx, h.Name())
	if o.err != nil {
		stale("the hold outlived its TTL")
	}
	t.measured("free after one TTL")
	t.settle(GivesWay, "", "B got the name while A had not released it (declared: "+why+")")
	panic(stopped{})
}

// outlived ends a check that needs a hold for longer than a lease which nobody
// renews.
func (h *hold) outlived() {
	t := h.c.t
	over := time.Since(h.got) >= h.TTL()
	if until := h.Deadline(); !until.IsZero() {
		over = over || !time.Now().Before(until) // which is earlier, by a margin
	}
	if why, withheld := t.profile.Withholds[OfferRenewal]; withheld && over {
		t.settle(GivesWay, "", "the check needs a hold for longer than a TTL (declared: "+why+")")
		panic(stopped{})
	}
}

func (t *trial) unnoticed(h *hold, why string, stale func(string)) {
	evictor, ok := t.rig.(Evictor)
	if !ok {
		t.notShown("%s", lacking(PowerEvict))
	}
	t.power("evict a hold", evictor.Evict(t.ctx, h.Name()))
	limit := h.TTL() + t.prompt()
	if t.closesWithin(h.Done(), limit) {
		stale("Done was closed after the hold was evicted")
	}
	t.measured("not told in %s", short(limit.Round(time.Millisecond)))
	t.settle(GivesWay, "", "Done stayed open after the hold was evicted (declared: "+why+")")
	panic(stopped{})
}
