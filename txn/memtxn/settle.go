package memtxn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
)

const (
	// settleTime bounds the search for a lost outcome when ctx does not end
	// before, settleGrace after it has ended.
	settleTime  = 30 * time.Second
	settleGrace = time.Second
	// settleAttempt is for one request of the search.
	settleAttempt = 250 * time.Millisecond
	settlePause   = 10 * time.Millisecond
)

// settle finds out what became of a commit whose answer was lost. A step that
// has not been applied by then never will be, and is applied as a new one.
func (s *Store) settle(ctx context.Context, st *step, why error) (txn.Result, error) {
	if !errors.Is(why, locker.ErrUnavailable) && ctx.Err() == nil {
		return txn.Result{}, why // the link refused to send
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(settleGrace, cancel) })()
	for {
		applied, err := s.abort(patience, st)
		switch {
		case err == nil && applied:
			return st.result, st.err
		case err == nil && ctx.Err() != nil:
			return txn.Result{}, contextError(ctx)
		case err == nil:
			return s.Commit(ctx, st.commit)
		case !rest(patience):
			if ctx.Err() != nil {
				why = fmt.Errorf("%w: %w", contextError(ctx), why)
			}
			return txn.Result{}, fmt.Errorf("%w: %w: %w", txn.ErrUnknown, locker.ErrUnavailable, why)
		}
	}
}

// abort refuses st for ever, unless it was applied. It may itself get lost, and
// come late: then it finds what an abort or the commit has left.
func (s *Store) abort(ctx context.Context, st *step) (applied bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleAttempt)
	defer cancel()
	found := new(bool)
	err = s.atomically(ctx, func(View, *data) {
		*found = st.done && !st.aborted
		st.done, st.aborted = true, !*found
	})
	if err != nil {
		return false, err
	}
	return *found, nil
}

func rest(ctx context.Context) bool {
	timer := time.NewTimer(settlePause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
