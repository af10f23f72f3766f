package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

// OnClose sets what Close calls after every hold has ended and was freed, and
// before the backend is closed: for what a backend's Locker took beside the
// engine. It must return when its context ends. Call it before the Locker is
// given away.
func (l *Locker) OnClose(f func(context.Context)) { l.onClose = f }

// Close implements locker.Locker.
func (l *Locker) Close() error {
	if err := l.usable(); err != nil {
		return err
	}
	l.closeOnce.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

// close ends everything in the order that the contract asks for: nobody begins;
// every Done is closed; then the server is told; then the backend goes.
//
// closing is set before the sweep. An attempt looks at it under the mutex of
// its slot, before it becomes head and before its grant becomes a hold. So
// after the sweep no hold begins, and every hold that was is lost. Only then
// the gate shuts: what a hold that ended before has left to the background was
// counted when the sweep passed its slot, so Close waits for that as well.
func (l *Locker) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	l.beginClosing()
	var held []Release
	for _, s := range l.slots() {
		s.mu.Lock()
		if t := s.cur; t != nil && t.state == stateHeld {
			t.lose(locker.LostClosed, locker.ErrClosed)
			held = append(held, Release{Ref: t.ref(), Uncertain: t.uncertain})
		}
		s.mu.Unlock()
	}
	l.gate.shut()
	l.free(ctx, held)

	// What is still inside undoes its claims, or releases. After the timeout it
	// is stopped.
	select {
	case <-l.gate.idle:
	case <-ctx.Done():
	}
	l.beginHalting()
	l.register.stop()
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-l.gate.idle:
	case <-patience.C:
		// A backend that ignores its context. Closing it may shake it off.
	}
	bctx, bcancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer bcancel()
	if l.onClose != nil {
		l.onClose(bctx)
	}
	if err := l.backend.Close(bctx); err != nil {
		return fmt.Errorf("locker: close: %w", err)
	}
	return nil
}

// free releases on the server what Close has ended, a few at a time.
func (l *Locker) free(ctx context.Context, held []Release) {
	work := make(chan Release)
	var wg sync.WaitGroup
	for range min(len(held), 16) {
		wg.Go(func() {
			for r := range work {
				// What fails here expires with its TTL, or with the lease that
				// the backend gives back when it is closed.
				_, _ = l.backend.Release(ctx, r)
			}
		})
	}
	for _, r := range held {
		select {
		case work <- r:
		case <-ctx.Done():
		}
	}
	close(work)
	freed := make(chan struct{})
	go func() {
		wg.Wait()
		close(freed)
	}()
	select {
	case <-freed:
	case <-ctx.Done():
	}
}
