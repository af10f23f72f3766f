package memlock

import (
	"context"
	"iter"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// A backend is the client's end of a link. Each request has two ways: a plain
// call while the link is well, and link.carry otherwise.
type backend struct {
	server *Server
	link   *link
}

var (
	_ driver.Backend   = (*backend)(nil)
	_ driver.Pusher    = (*backend)(nil)
	_ driver.Inspector = (*backend)(nil)
	_ driver.Lister    = (*backend)(nil)
	_ driver.Breaker   = (*backend)(nil)
	_ driver.Guarder   = (*backend)(nil)
)

func (b *backend) Push(to driver.Sink) {
	b.link.mu.Lock()
	defer b.link.mu.Unlock()
	b.link.sink = to
}

func (b *backend) Claim(ctx context.Context, c driver.Claim) (driver.Answer, error) {
	if b.link.clear(ctx) {
		return b.server.claim(b.link, c, 0), nil
	}
	return ask(ctx, b.link, func(travelled time.Duration) driver.Answer {
		return b.server.claim(b.link, c, travelled)
	})
}

func (b *backend) Renew(ctx context.Context, claims []driver.Ref) ([]driver.Answer, error) {
	if b.link.clear(ctx) {
		return b.server.renew(claims), nil
	}
	claims = append([]driver.Ref(nil), claims...) // the request may outlive the call
	return ask(ctx, b.link, func(time.Duration) []driver.Answer { return b.server.renew(claims) })
}

func (b *backend) Release(ctx context.Context, r driver.Release) (found bool, err error) {
	if b.link.clear(ctx) {
		return b.server.release(b.link, r), nil
	}
	return ask(ctx, b.link, func(time.Duration) bool { return b.server.release(b.link, r) })
}

func (b *backend) Inspect(ctx context.Context, name string) (locker.Status, error) {
	type result struct {
		status locker.Status
		err    error
	}
	r, err := ask(ctx, b.link, func(time.Duration) result {
		st, err := b.server.inspect(name)
		return result{st, err}
	})
	if err != nil {
		return locker.Status{}, err
	}
	return r.status, r.err
}

func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[locker.Status, error] {
	return func(yield func(locker.Status, error) bool) {
		all, err := ask(ctx, b.link, func(time.Duration) []locker.Status { return b.server.list(prefix) })
		if err != nil {
			yield(locker.Status{}, err)
			return
		}
		for _, st := range all {
			if !yield(st, nil) {
				return
			}
		}
	}
}

func (b *backend) Break(ctx context.Context, name string, tenure uint64) error {
	if tenure == 0 {
		return locker.ErrNotHeld // no hold has it; the server takes 0 for "any"
	}
	result, err := ask(ctx, b.link, func(time.Duration) error {
		return b.server.end(name, tenure, locker.LostBroken)
	})
	if err != nil {
		return err
	}
	return result
}

func (b *backend) Close(context.Context) error {
	b.link.hangUp(errClosed)
	b.server.disconnect(b.link)
	return nil
}

// ask carries one request and brings its result back. The result is read only
// after carry says that it is there: when a caller gives up, the request may
// still be carried out, and write it, later.
func ask[R any](ctx context.Context, l *link, apply func(travelled time.Duration) R) (R, error) {
	var r R
	if err := l.carry(ctx, func(travelled time.Duration) { r = apply(travelled) }); err != nil {
		var none R
		return none, err
	}
	return r, nil
}
