package driver

import (
	"context"
	"sync"
	"time"
)

// A requestContext bounds one request: by its parent, by a deadline, and by the
// end of a base context of the Locker. It has a timer and hangs on its two
// parents only once somebody asks for Done, which a backend that answers at
// once never does.
type requestContext struct {
	parent, base context.Context
	deadline     time.Time
	inherited    bool // deadline is the parent's, who will tell when it has passed

	mu    sync.Mutex
	inner context.Context // made by the first Done
	free  func()
	ended bool // cancelled before it was made
}

var _ context.Context = (*requestContext)(nil)

// requestContext returns a context for one request; call cancel after it.
func (l *Locker) requestContext(parent, base context.Context, timeout time.Duration) (ctx context.Context, cancel context.CancelFunc) {
	r := &requestContext{parent: parent, base: base, deadline: time.Now().Add(timeout)}
	if d, ok := parent.Deadline(); ok && !d.After(r.deadline) {
		r.deadline, r.inherited = d, true
	}
	return r, r.cancel
}

func (r *requestContext) cancel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.free != nil {
		r.free()
	}
}

// made returns the real context.
func (r *requestContext) made() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inner == nil {
		var ctx context.Context
		var cancel context.CancelFunc
		if r.inherited {
			ctx, cancel = context.WithCancel(r.parent)
		} else {
			ctx, cancel = context.WithDeadline(r.parent, r.deadline)
		}
		stop := context.AfterFunc(r.base, cancel)
		r.inner, r.free = ctx, func() {
			stop()
			cancel()
		}
		if r.ended {
			r.free()
		}
	}
	return r.inner
}

// Deadline implements context.Context.
func (r *requestContext) Deadline() (time.Time, bool) { return r.deadline, true }

// Done implements context.Context.
func (r *requestContext) Done() <-chan struct{} { return r.made().Done() }

// Err implements context.Context. As for every context, it is nil only while
// Done is open.
func (r *requestContext) Err() error {
	r.mu.Lock()
	inner, ended := r.inner, r.ended
	r.mu.Unlock()
	switch {
	case inner != nil:
		return inner.Err()
	case r.parent.Err() != nil:
		return r.parent.Err()
	case ended, r.base.Err() != nil:
		return context.Canceled
	case !r.inherited && !time.Now().Before(r.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Asked through the real context once it is
// made, the context package finds it there and needs no goroutine for a child.
func (r *requestContext) Value(key any) any {
	r.mu.Lock()
	inner := r.inner
	r.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return r.parent.Value(key)
}

// ended reports whether ctx has ended. One whose deadline has passed is about
// to say so: a backend that counts down by itself, as gRPC does, may have been
// a moment earlier.
func ended(ctx context.Context) bool {
	if d, ok := ctx.Deadline(); ok && ctx.Err() == nil && time.Until(d) < time.Millisecond {
		patience := time.NewTimer(100 * time.Millisecond)
		defer patience.Stop()
		select {
		case <-ctx.Done():
		case <-patience.C: // not a clock of ours
		}
	}
	return ctx.Err() != nil
}
