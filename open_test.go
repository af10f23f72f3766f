package locker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lockerlib/locker"
)

// A variable of the environment that is not set gives an empty URL: that must
// not look like one that was typed wrongly.
func TestOpenOfAnEmptyURL(t *testing.T) {
	l, err := locker.Open(t.Context(), "")
	if l != nil || !errors.Is(err, locker.ErrInvalid) || !strings.Contains(err.Error(), "the URL is empty") {
		t.Errorf("it gave %v and the error %v", l, err)
	}
}
