package driver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/lockerlib/locker"
)

// Inspect implements locker.Inspector.
func (l *Locker) Inspect(ctx context.Context, name string) (locker.Status, error) {
	var status locker.Status
	err := l.ask(ctx, name, func(ctx context.Context) error {
		i, ok := l.backend.(Inspector)
		if !ok {
			return fmt.Errorf("locker: this backend cannot inspect locks: %w", errors.ErrUnsupported)
		}
		var err error
		status, err = i.Inspect(ctx, name)
		return err
	})
	return status, err
}

// Break implements locker.Breaker. A token of a local handoff breaks the tenure
// that it is part of.
func (l *Locker) Break(ctx context.Context, name string, token uint64) error {
	return l.ask(ctx, name, func(ctx context.Context) error {
		b, ok := l.backend.(Breaker)
		if !ok {
			return fmt.Errorf("locker: this backend cannot break locks: %w", errors.ErrUnsupported)
		}
		if Tenure(token) == 0 {
			return fmt.Errorf("%w: %q under token %d", locker.ErrNotHeld, name, token)
		}
		return b.Break(ctx, name, Tenure(token))
	})
}

// List implements locker.Lister.
func (l *Locker) List(ctx context.Context, prefix string) iter.Seq2[locker.Status, error] {
	return func(yield func(locker.Status, error) bool) {
		err := l.ask(ctx, "", func(ctx context.Context) error {
			b, ok := l.backend.(Lister)
			if !ok {
				return fmt.Errorf("locker: this backend cannot list locks: %w", errors.ErrUnsupported)
			}
			for status, err := range b.List(ctx, prefix) {
				if err != nil {
					return err
				}
				if strings.HasPrefix(status.Name, prefix) && !yield(status, nil) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(locker.Status{}, err)
		}
	}
}

// ask runs one administrative request: within the gate, bounded, and with the
// error of ctx where that is the reason for its failure.
func (l *Locker) ask(ctx context.Context, name string, request func(context.Context) error) error {
	if err := l.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return fmt.Errorf("%w: the context is nil", locker.ErrInvalid)
	}
	if ctx.Err() != nil {
		return contextError(ctx, name)
	}
	if !l.gate.enter() {
		return closedError(name)
	}
	defer l.gate.leave()
	bound := requestTimeout
	if name == "" {
		bound = listTimeout
	}
	rctx, cancel := l.requestContext(ctx, l.closing, bound)
	defer cancel()
	err := request(rctx)
	if err != nil && rctx.Err() != nil {
		err = unavailable(name, err)
	}
	switch {
	case err == nil:
		return nil
	case ended(ctx):
		return contextError(ctx, name)
	case l.closing.Err() != nil:
		return closedError(name)
	}
	return err
}
