package redislock

import (
	"context"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/redis/go-redis/v9"
)

// renewChunk is how many claims one call renews: about two milliseconds of the
// server, during which it serves nobody else.
const renewChunk = 1024

// Renew implements driver.Backend. Chunks are sent one after the other, so that
// the server gets to others in between.
func (b *backend) Renew(ctx context.Context, claims []driver.Ref) ([]driver.Answer, error) {
	answers := make([]driver.Answer, len(claims))
	var failed error
	asked := len(claims) == 0
	for start := 0; start < len(claims); start += renewChunk {
		end := min(start+renewChunk, len(claims))
		if err := b.renewChunk(ctx, claims[start:end], answers[start:end]); err != nil {
			clear(answers[start:end]) // Unknown
			failed = err
			if ctx.Err() != nil {
				break
			}
			continue
		}
		asked = true
	}
	if !asked {
		return nil, failed
	}
	return answers, nil
}

func (b *backend) renewChunk(ctx context.Context, claims []driver.Ref, answers []driver.Answer) error {
	holds := make([]string, len(claims))
	args := make([]any, 0, 2*len(claims))
	for i, c := range claims {
		holds[i] = keysOf(b.prefix, c.Name).hold()
		args = append(args, c.ID, grant(c.TTL).Milliseconds())
	}
	call := renewScript.call(holds, args...)
	b.sender.work(b.standby.fill)
	var via redis.UniversalClient
	if b.closing != nil {
		// Close ends what waits on a client of our own. On that of a caller it
		// would have to wait for it.
		via = b.standby.forRenewal(claims[0].TTL)
	}
	if err := b.sender.alone(ctx, call, via); err != nil {
		return b.fault(ctx, err)
	}
	all := newReply(call.Val())
	for i, c := range claims {
		var err error
		if answers[i], err = b.renewed(all, i); err != nil {
			return err
		}
		if answers[i].State == driver.Gone {
			b.forget(c.ID)
		} else {
			// A claim that lives long enough to be renewed is worth a
			// subscription: its holder hears at once when it is broken.
			b.listener.start()
		}
	}
	return all.err
}

// renewed reads the i-th answer of renew.lua.
func (b *backend) renewed(all *reply, i int) (a driver.Answer, err error) {
	if _, plain := all.at(i).(string); plain {
		a = driver.Answer{State: driver.Held, Tenure: all.tenure(i)}
		return a, all.err
	}
	r := all.list(i)
	switch kind := r.text(0); kind {
	case "queued":
		a = driver.Answer{State: driver.Queued, Recheck: b.recheck(afterHold(r.number(1), r.number(2)))}
	case "gone":
		a = driver.Answer{State: driver.Gone}
		if r.text(1) == "broken" {
			a.Reason = locker.LostBroken
		}
	default:
		r.fail(0)
	}
	return a, r.err
}
