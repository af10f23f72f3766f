package etcdlock

import (
	"fmt"

	"github.com/lockerlib/locker"
)

// A Mode says how holds are kept on the server.
type Mode int

const (
	// Lease is the default: leases and transactions of this package. A claim
	// is one transaction, a handoff one more and a push.
	Lease Mode = iota
	// Session uses etcd's own concurrency.Session and concurrency.Mutex. It
	// waits in the same queues as Lease, so clients of both modes exclude each
	// other; see the package documentation for what it cannot do.
	Session
)

// String returns the mode as it is written in a URL.
func (m Mode) String() string {
	switch m {
	case Lease:
		return "lease"
	case Session:
		return "session"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

type (
	prefixKey struct{}
	modeKey   struct{}
)

// WithPrefix sets what all keys begin with; the default is "locker". Lockers
// with different prefixes never share a lock, not even when one prefix begins
// with the other. A prefix is UTF-8 of at most 512 bytes without control
// characters, does not end with '/' and does not contain "//".
func WithPrefix(prefix string) locker.OpenOption {
	return locker.WithBackend(prefixKey{}, prefix)
}

// WithMode chooses the mode; the default is Lease.
func WithMode(m Mode) locker.OpenOption { return locker.WithBackend(modeKey{}, m) }
