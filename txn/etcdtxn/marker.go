package etcdtxn

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	markerTTL = time.Minute
	// A commit begins on a lease that was renewed at most this long ago, so
	// that there are 40 s left to settle it.
	markerRenewal = markerTTL / 3
)

// A marker is a key that one commit at a time uses, see Store. It changes from
// revision by that commit, or by whoever settles it, and never by both.
type marker struct {
	key      string
	revision int64 // 0: does not exist yet
	lease    *markerLease
}

type markerLease struct {
	id      clientv3.LeaseID
	renewed time.Time // when the last renewal that was answered was sent
	free    []marker
}

// markers hands out the markers of one Store.
type markers struct {
	client *clientv3.Client
	prefix string

	mu     sync.Mutex // guards the fields below and those of lease
	lease  *markerLease
	made   int           // keys that were ever used; none comes back after its lease
	asking chan struct{} // not nil while somebody grants or renews; closed then
	closed bool
}

func newMarkers(client *clientv3.Client, prefix string) *markers {
	return &markers{client: client, prefix: prefix}
}

// take returns a marker that nobody else uses, on a lease with time left.
func (m *markers) take(ctx context.Context) (marker, error) {
	for {
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return marker{}, locker.ErrClosed
		}
		if l := m.lease; l != nil && time.Since(l.renewed) < markerRenewal {
			defer m.mu.Unlock()
			return m.pick(l), nil
		}
		if asking := m.asking; asking != nil {
			m.mu.Unlock()
			select {
			case <-asking:
			case <-ctx.Done():
				return marker{}, context.Cause(ctx)
			}
			continue
		}
		m.asking = make(chan struct{})
		old := m.lease
		m.mu.Unlock()
		if err := m.refresh(ctx, old); err != nil {
			return marker{}, err
		}
	}
}

// pick takes a marker of l. The caller has m.mu.
func (m *markers) pick(l *markerLease) marker {
	if n := len(l.free); n > 0 {
		mk := l.free[n-1]
		l.free = l.free[:n-1]
		return mk
	}
	m.made++
	return marker{key: m.prefix + strconv.Itoa(m.made), lease: l}
}

// refresh renews old, or grants a new lease if old is nil or gone.
func (m *markers) refresh(ctx context.Context, old *markerLease) (err error) {
	ctx, cancel := attemptContext(ctx)
	defer cancel()
	sent := time.Now()
	var granted *markerLease
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(m.asking)
		m.asking = nil
		switch {
		case err != nil:
		case granted != nil:
			m.lease = granted
		default:
			old.renewed = sent
		}
	}()
	if old != nil {
		_, err = m.client.KeepAliveOnce(ctx, old.id)
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		sent = time.Now()
	}
	resp, err := m.client.Grant(ctx, int64(markerTTL/time.Second))
	if err != nil {
		return err
	}
	granted = &markerLease{id: resp.ID, renewed: sent}
	return nil
}

// give returns a marker for the next commit, at the revision that it has now.
func (m *markers) give(mk marker, revision int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mk.lease == m.lease {
		mk.revision = revision
		m.lease.free = append(m.lease.free, mk)
	}
}

// forget lets the lease of mk run out and with it whatever hangs on it: after
// it was found gone, or after a commit that could not be settled.
func (m *markers) forget(mk marker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mk.lease == m.lease {
		m.lease = nil
	}
}

func (m *markers) close(ctx context.Context) error {
	m.mu.Lock()
	l := m.lease
	m.closed, m.lease = true, nil
	m.mu.Unlock()
	if l == nil {
		return nil
	}
	if _, err := m.client.Revoke(ctx, l.id); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return err
	}
	return nil
}
