package redislock

import (
	"strconv"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/redis/go-redis/v9"
)

// A Guard says how a script on the same server checks that a hold is current:
//
//	redis.call('HGET', KEYS[g], 'id') == ID and redis.call('HGET', KEYS[g], 'tenure') == Tenure
//
// The key is gone when the lease has run out, by the clock of the server. Check
// and writes must be in one script; a check beside MULTI proves nothing, and
// WATCH fails whenever the hold is renewed.
type Guard struct {
	Client redis.UniversalClient // of the Locker
	Key    string                // of the hold
	ID     string                // of the claim
	Tenure string                // in decimal, as the server stores it
}

// Guard implements driver.Guarder. It asks nobody.
func (b *backend) Guard(r driver.Ref) (any, error) {
	if r.Tenure == 0 {
		return nil, locker.ErrNotHeld
	}
	return Guard{
		Client: b.client,
		Key:    keysOf(b.prefix, r.Name).hold(),
		ID:     r.ID,
		Tenure: strconv.FormatUint(r.Tenure, 10),
	}, nil
}
