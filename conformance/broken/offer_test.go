package broken_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/broken"
)

// offers gives a check about each offer.
var offers = map[conformance.Offer]string{
	conformance.OfferTokens: "F1", conformance.OfferDeadline: "E7", conformance.OfferReentry: "R1",
	conformance.OfferMetadata: "Z8", conformance.OfferPatience: "C7", conformance.OfferRenewal: "N1",
	conformance.OfferNotice: "L3",
}

// What is declared not to be offered, and is there, is a stale claim.
func TestStaleWithholding(t *testing.T) {
	for offer, id := range offers {
		t.Run(string(offer), func(t *testing.T) {
			if r := verify(t, withholding(broken.Reference(), offer), id); r.Verdict != conformance.StaleClaim {
				t.Errorf("want a stale claim, got\n%s", r)
			}
		})
	}
}

// What is declared not to be offered, and is not there, is green; what is not
// there and not declared is broken.
func TestWithholding(t *testing.T) {
	for offer, id := range offers {
		t.Run(string(offer), func(t *testing.T) {
			r := verify(t, withholding(lesser{broken.Reference()}, offer), id)
			if !r.Verdict.Green() || r.Verdict == conformance.Holds {
				t.Errorf("want a refusal, or a counter-example, got\n%s", r)
			}
			if r := verify(t, lesser{broken.Reference()}, id); r.Verdict != conformance.Broken {
				t.Errorf("undeclared: want broken, got\n%s", r)
			}
		})
	}
}

// A rule that is kept by best effort may hold or not.
func TestBestEffort(t *testing.T) {
	profile := conformance.Profile{BestEffort: map[string]string{"F1": "mostly"}}
	if r := verify(t, declaring{broken.Reference(), profile}, "F1"); r.Verdict != conformance.Holds {
		t.Errorf("want holds, got\n%s", r)
	}
	if r := verify(t, declaring{lesser{broken.Reference()}, profile}, "F1"); r.Verdict != conformance.GivesWay {
		t.Errorf("want gives way, got\n%s", r)
	}
}

func verify(t *testing.T, m conformance.Maker, id string) conformance.Result {
	t.Helper()
	report, err := conformance.Verify(t.Context(), m, conformance.Only(id), conformance.WithSeed(1))
	if err != nil {
		t.Fatal(err)
	}
	return report.Results[0]
}

func withholding(m conformance.Maker, offer conformance.Offer) conformance.Maker {
	return declaring{m, conformance.Profile{Withholds: map[conformance.Offer]string{offer: "it is a test"}}}
}

// declaring adds declarations to a profile.
type declaring struct {
	conformance.Maker
	add conformance.Profile
}

func (d declaring) Profile() conformance.Profile {
	p := d.Maker.Profile()
	p.Withholds, p.BestEffort = d.add.Withholds, d.add.BestEffort
	return p
}

// lesser makes locks that have none of what can be withheld.
type lesser struct{ conformance.Maker }

func (l lesser) Make(ctx context.Context) (conformance.Rig, error) {
	r, err := l.Maker.Make(ctx)
	if err != nil {
		return nil, err
	}
	return lesserRig{r, r.(everything)}, nil
}

// everything is what checks about offers need.
type everything interface {
	conformance.Linker
	conformance.Evictor
}

type lesserRig struct {
	conformance.Rig
	everything
}

func (r lesserRig) Open(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	l, err := r.Rig.Open(ctx, opts...)
	return lesserLocker{l}, err
}

func (r lesserRig) Delay(l locker.Locker, d conformance.Direction, by time.Duration) error {
	return r.everything.Delay(l.(lesserLocker).Locker, d, by)
}

func (r lesserRig) Heal(l locker.Locker) error { return r.everything.Heal(l.(lesserLocker).Locker) }

type lesserLocker struct{ locker.Locker }

func (l lesserLocker) Acquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return l.wrap(ctx, name, opts, l.Locker.Acquire)
}

func (l lesserLocker) TryAcquire(ctx context.Context, name string, opts ...locker.Option) (locker.Lock, error) {
	return l.wrap(ctx, name, opts, l.Locker.TryAcquire)
}

func (l lesserLocker) wrap(ctx context.Context, name string, opts []locker.Option, acquire func(context.Context, string, ...locker.Option) (locker.Lock, error)) (locker.Lock, error) {
	r, err := locker.Resolve(ctx, name, opts...)
	if err == nil && (r.Owner != "" || r.Metadata != "" || r.HasMaxWait) {
		err = fmt.Errorf("the lesser lock has no such option: %w", errors.ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	lock, err := acquire(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	// Nobody renews it, because it is given back when its lease has run out.
	time.AfterFunc(r.TTL, func() { _ = lock.Release(context.Background()) })
	return lesserLock{lock, make(chan struct{})}, nil
}

type lesserLock struct {
	locker.Lock
	done chan struct{}
}

func (lesserLock) Token() uint64           { return 0 }
func (lesserLock) Deadline() time.Time     { return time.Time{} }
func (l lesserLock) Done() <-chan struct{} { return l.done }
func (lesserLock) Err() error              { return nil }
