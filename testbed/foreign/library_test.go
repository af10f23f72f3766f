package foreign_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/foreign"
)

// What a library withholds is refused before anything is sent: there is no
// server at this address.
func TestOptionsWithoutCounterpart(t *testing.T) {
	for _, library := range foreign.Libraries() {
		t.Run(library.Scheme, func(t *testing.T) {
			l, err := locker.Open(t.Context(), library.URL("127.0.0.1:1", "prefix"))
			if err != nil {
				t.Fatal(err)
			}
			for offer, opt := range map[conformance.Offer]locker.Option{
				conformance.OfferReentry:  locker.WithReentry("owner"),
				conformance.OfferMetadata: locker.WithMetadata("text"),
				conformance.OfferPatience: locker.WithMaxWait(time.Second),
			} {
				if _, withheld := library.Withholds[offer]; !withheld {
					continue
				}
				if lock, err := l.TryAcquire(t.Context(), "name", opt); lock != nil || !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s: %v, %v", offer, lock, err)
				}
			}
			if _, err := l.Acquire(t.Context(), ""); !errors.Is(err, locker.ErrInvalid) {
				t.Errorf("the empty name: %v", err)
			}
			if err := errors.Join(l.Close(), l.Close()); err != nil {
				t.Errorf("Close: %v", err)
			}
			if _, err := l.TryAcquire(t.Context(), "name"); !errors.Is(err, locker.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}
