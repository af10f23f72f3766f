package etcdtxn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// attemptTime bounds one request when ctx does not, so that a request that
	// got lost does not keep the rest of the time from being used.
	attemptTime = 10 * time.Second
	// settleTime bounds the search for a lost outcome when ctx does not end
	// before. It is within what is left of the lease of the marker.
	settleTime = 30 * time.Second
	// settleGrace is for the search after ctx has ended.
	settleGrace = time.Second
	// settlePause is between two requests of the search.
	settlePause = 50 * time.Millisecond
)

// What a marker says.
const (
	markThen    = "then"
	markElse    = "else"
	markAborted = "aborted"
)

var (
	// errRepeat: nothing was applied, for a reason that lies in the marker.
	errRepeat = errors.New("etcdtxn: the marker is gone")
	// errOpen: the request was sent, and its outcome is not known.
	errOpen = errors.New("etcdtxn: the answer was lost")
)

// Commit implements txn.Store.
func (s *Store) Commit(ctx context.Context, c txn.Commit) (txn.Result, error) {
	switch err := s.check(c); {
	case err != nil:
		return txn.Result{}, err
	case ctx.Err() != nil:
		return txn.Result{}, contextError(ctx)
	case c.Empty():
		return txn.Result{Succeeded: true}, nil
	case !c.Writes():
		return s.ask(ctx, c)
	}
	for {
		res, err := s.once(ctx, c)
		if !errors.Is(err, errRepeat) {
			return res, err
		}
		if ctx.Err() != nil {
			return txn.Result{}, contextError(ctx)
		}
	}
}

// once sends a commit that writes, and settles it if its answer is lost.
// errRepeat says that it was not applied, and why not does not concern it.
func (s *Store) once(ctx context.Context, c txn.Commit) (txn.Result, error) {
	m, err := s.markers.take(ctx)
	if err != nil {
		return txn.Result{}, s.failed(ctx, err)
	}
	req := newRequest(c)
	req.marker = &m
	req.then = append(req.then, m.put(markThen))
	if slices.ContainsFunc(c.Else, func(op txn.Op) bool { return op.Kind != txn.OpGet }) {
		req.other = append(req.other, m.put(markElse))
	}

	attempt, cancel := attemptContext(ctx)
	resp, err := req.send(attempt, s.client)
	cancel()
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		s.markers.forget(m)
		return txn.Result{}, errRepeat
	case errors.Is(err, rpctypes.ErrNoSpace):
		// Also the answer to the commit that took the last space.
		return s.settle(ctx, c, m, err)
	case err != nil && unanswered(err):
		return s.settle(ctx, c, m, fmt.Errorf("%w: %w", errOpen, err))
	case err != nil:
		s.markers.give(m, m.revision)
		return txn.Result{}, s.failed(ctx, err)
	}

	if resp.lost() {
		s.markers.give(m, m.revision)
		return txn.Result{}, lost(c.Guards)
	}
	if !resp.outer {
		// The guards stand, so the marker does not: its lease ended while this
		// process was stopped, say.
		s.markers.forget(m)
		return txn.Result{}, errRepeat
	}
	if resp.succeeded || len(req.other) > gets(c.Else) {
		m.revision = resp.revision
	}
	s.markers.give(m, m.revision)
	return txn.Result{Succeeded: resp.succeeded, Reads: resp.reads(c)}, nil
}

// ask sends a commit that writes nothing. Its answer may get lost without harm.
func (s *Store) ask(ctx context.Context, c txn.Commit) (txn.Result, error) {
	patience, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	req := newRequest(c)
	for {
		attempt, cancel := attemptContext(patience)
		resp, err := req.send(attempt, s.client)
		cancel()
		switch {
		case err == nil && resp.lost():
			return txn.Result{}, lost(c.Guards)
		case err == nil:
			return txn.Result{Succeeded: resp.succeeded, Reads: resp.reads(c)}, nil
		case !unanswered(err), !rest(patience):
			return txn.Result{}, s.failed(ctx, err)
		}
	}
}

func (m marker) put(v string) clientv3.Op {
	return clientv3.OpPut(m.key, v, clientv3.WithLease(m.lease.id))
}

func lost(guards []any) error {
	return fmt.Errorf("txn: nothing was committed: %w: the server has given up %v", locker.ErrLost, guards)
}

// attemptContext leaves half of the time of ctx for what comes after a request
// that is not answered.
func attemptContext(ctx context.Context) (context.Context, context.CancelFunc) {
	d := attemptTime
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, d)
}

// rest pauses between two requests, and reports whether ctx still runs.
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
