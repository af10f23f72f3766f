// Package txn runs optimistic transactions on the server of a Locker, and
// guards them with its locks: a write commits only while the lock is held.
//
// The promise: transactions are serialisable, on every store. What Update and
// If write is written at one instant, at which everything that was read was
// still so, or it is not written at all. What View reads was so at one instant.
// Through a store that was wrapped with [Guarded], all of that holds only if
// the server still has the lock for its holder at that very instant, else the
// error is locker.ErrLost. So a holder that was paused for an hour after its
// last look at the clock cannot overwrite what its successor wrote.
//
// The limit: the guard protects commits through that store, and nothing else.
// A mail that is sent, a file that is written, a row in another database while
// the lock is held are not protected by it; they need the fencing token
// (locker.Lock.Token) or must be harmless when done twice. And an error that is
// [ErrUnknown] says that a commit may have happened, where the server could not
// be asked any more.
//
// Start with [StoreOf] and [Update]:
//
//	store, err := txn.StoreOf(l)
//	...
//	err = locker.Do(ctx, l, "accounts", func(ctx context.Context, lock locker.Lock) error {
//		return txn.Update(ctx, txn.Guarded(store, lock), func(tx txn.Tx) error {
//			from, err := tx.Get(ctx, "userA")
//			...
//			tx.Put("userA", less)
//			tx.Put("userB", more)
//			return nil
//		})
//	})
//
// Update needs no lock to be correct: among transactions alone, it excludes
// lost updates and write skew by itself. A lock beside it makes them take turns
// where they would only disturb each other, or covers work that is more than
// one transaction. [If] is for a decision on known keys in one round trip, and
// [View] for reading several keys that must fit together.
//
// # How it works
//
// It is optimistic concurrency control with validation at commit, after H. T.
// Kung and J. T. Robinson, "On Optimistic Methods for Concurrency Control", ACM
// Transactions on Database Systems 6(2), 1981; the STM of etcd's concurrency
// package is another form of it. A transaction collects what it reads, with the
// revision that wrote each key last, and what it writes. The commit is one
// atomic step of the server that compares the revision of each key that was
// read, checks the guards and applies the writes. Revisions are those of the
// whole store, so a key that was deleted and made again is not taken for the
// old one. After a conflict the function runs again, after a pause that is
// random and grows; and transactions of one process that want the same keys
// take turns before they ask the server, because there they can be seen coming.
//
// Reads of one attempt are of one instant, so that a function never sees half
// of another transaction, not even in an attempt that will fail: on etcd all
// are made at the revision of the first, in memory each checks that the earlier
// ones still stand.
//
// A commit whose answer was lost is not guessed at. The server is asked what
// became of it, in a way that also keeps it from happening later; see package
// etcdtxn for how, and for what that stores.
//
// # Stores
//
// etcd (package etcdtxn) and memory (package memtxn). A Locker on Redis has no
// store yet: StoreOf says errors.ErrUnsupported. Keys are UTF-8 of 1 to 4096
// bytes, and are used as they are, without a prefix, so that a transaction can
// touch what other programs keep there. Values are any bytes.
package txn
