package conformance_test

import (
	"testing"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/memlock/memrig"
)

func TestMemory(t *testing.T) { conformance.Run(t, memrig.Maker(true)) }
