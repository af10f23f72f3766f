// Package etcdtxn commits transactions of package txn on etcd.
//
// A transaction reads at the revision of its first read, and commits in one
// etcd Txn that compares the ModRevision of every key that was read, the create
// revision of the claim of each guard, and one marker (see Store). That Txn is
// the only write, so a transaction costs what the same reads and one Txn cost.
package etcdtxn

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// DefaultPrefix is what the keys of the library begin with, unless WithPrefix
// says otherwise; the same as that of etcdlock.
const DefaultPrefix = "locker"

// A Guard stands for one hold on an etcd: a key that was first in its queue
// when it had this create revision, and is so as long as it has it.
type Guard struct {
	Key            string
	CreateRevision int64
}

// String shows the guard to people.
func (g Guard) String() string {
	return fmt.Sprintf("claim %q of revision %d", g.Key, g.CreateRevision)
}

// A Store is a txn.Store on an etcd cluster. Its keys are the keys of etcd, as
// they are; values that other programs put there can be read, and keys that
// have a lease or are watched behave as always. Only keys that begin with
// PREFIX// cannot be written: there the locks are, and the markers.
//
// # Markers
//
// A Txn whose answer was lost may have been applied, or may be later. To be
// able to tell, each commit that writes also writes a marker, a key that only
// it uses meanwhile, on the condition that the marker is as it was. What the
// marker says after a lost answer is the outcome; if it is unchanged, it is
// changed, after which that Txn cannot be applied any more, and the commit is
// sent again. All markers of a Store hang on one lease, so that a Txn cannot
// be applied after they are gone either.
//
// So a Store takes one lease of a minute, from its first commit on, with one
// small key for each commit that was under way at once, at most. The keys are
// reused. Renewing the lease takes a request on the way of a commit, once in 20
// s of use. Close gives both back at once, and doing nothing within a minute.
//
// # Limits
//
// etcd takes 128 operations in a Txn, unless --max-txn-ops says otherwise, so
// about 120 keys read, and 120 written, and 1.5 MiB in all
// (--max-request-bytes). More is locker.ErrInvalid, and nothing is written.
// After a commit whose outcome stayed unknown (txn.ErrUnknown), its Txn can
// still come until its lease has ended: for a minute, on an etcd that has a
// leader, and longer only by what changes of the leader add. On a cluster that
// was restored from a snapshot without --bump-revision, revisions come again:
// stop transactions and guards before, as anything else that compares them.
type Store struct {
	client  *clientv3.Client
	keep    string // keys that begin with it are not for transactions
	markers *markers
	latches txn.Latches
	invalid error // why no call can succeed
}

var (
	_ txn.Store   = (*Store)(nil)
	_ txn.Latcher = (*Store)(nil)
)

// An Option configures a Store.
type Option interface{ apply(*Store) }

type optionFunc func(*Store)

func (f optionFunc) apply(s *Store) { f(s) }

// WithPrefix says under which prefix the locks are that will guard the Store.
// Its own keys go there as well, as PREFIX//v1t/…, so a user of etcd who may
// lock there may also commit.
func WithPrefix(prefix string) Option {
	return optionFunc(func(s *Store) {
		if prefix == "" || strings.Contains(prefix, "//") || strings.HasSuffix(prefix, "/") {
			s.invalid = invalidf("the prefix %q is empty, ends with '/' or has an empty part", prefix)
		}
		s.keep = prefix + "//"
	})
}

// New returns a Store on the cluster of client, and sends nothing. It never
// fails: after a nil client or a bad option, each call of the Store does.
// Closing client is left to the caller, after the last call and Close.
func New(client *clientv3.Client, opts ...Option) *Store {
	s := &Store{client: client, keep: DefaultPrefix + "//"}
	if client == nil {
		s.invalid = invalidf("the client is nil")
	}
	for _, o := range opts {
		if o == nil {
			s.invalid = invalidf("an Option is nil")
			continue
		}
		o.apply(s)
	}
	s.markers = newMarkers(client, s.keep+"v1t/"+rand.Text()+"/")
	return s
}

// Close gives back the lease and the markers, if there are any. It is for
// Stores that are made with New; the Store of a Locker is closed with it.
// Commits that are under way may fail with txn.ErrUnknown, and later ones do
// with locker.ErrClosed. What Close could not tell the server ends there within
// a minute.
func (s *Store) Close(ctx context.Context) error {
	if s.invalid != nil {
		return nil //nolint:nilerr // it never sent anything, so nothing is left to give back
	}
	if err := s.markers.close(ctx); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// Latches implements txn.Latcher: a commit that etcd refuses costs it as much
// as one that it applies.
func (s *Store) Latches() *txn.Latches { return &s.latches }

// CheckGuard implements txn.Store. A Guard of another cluster passes here and
// then fails every commit with locker.ErrLost, because names of claims are
// unique in the world.
func (s *Store) CheckGuard(guard any) error {
	if s.invalid != nil {
		return s.invalid
	}
	if _, ok := guard.(Guard); !ok {
		return invalidf("%T is the guard of another backend", guard)
	}
	return nil
}

// check says why c cannot be sent.
func (s *Store) check(c txn.Commit) error {
	if s.invalid != nil {
		return s.invalid
	}
	for _, g := range c.Guards {
		if err := s.CheckGuard(g); err != nil {
			return err
		}
	}
	for _, ops := range [][]txn.Op{c.Then, c.Else} {
		for _, op := range ops {
			if op.Kind != txn.OpGet && strings.HasPrefix(op.Key, s.keep) {
				return invalidf("the key %q begins with %q, where the locks themselves are kept", op.Key, s.keep)
			}
		}
	}
	return nil
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: etcdtxn: %s", locker.ErrInvalid, fmt.Sprintf(format, args...))
}
