// Package locker gives programs named, leased, mutually exclusive locks behind
// one interface, on etcd, Redis or memory, chosen by a URL.
//
// The promise: at most one owner holds a name on the server at any instant, a
// holder is told that its hold is over before the server can give the name to
// somebody else, and every hold carries a fencing token that is greater than
// that of every earlier hold of the name.
//
// The limit: a lock is a lease. A program that is paused between its last look
// at [Lock.Err] and its write can write after the lock went to another. Only
// the resource itself can refuse such a write: give it the token and let it
// refuse smaller ones, or write through package txn, whose transactions commit
// only while the hold is current. Exclusion is also not "exactly once": a job
// whose holder died half way is started again by the next holder.
//
// Start with [Open] and [Do]:
//
//	l, err := locker.Open(ctx, "etcd://127.0.0.1:2379/billing")
//	...
//	err = locker.Do(ctx, l, "invoices", func(ctx context.Context, lock locker.Lock) error {
//		return sendInvoices(ctx, lock.Token())
//	})
//
// A backend registers its URL scheme when its package is imported, as drivers
// of database/sql do:
//
//	import (
//		"github.com/lockerlib/locker"
//		_ "github.com/lockerlib/locker/etcdlock"
//	)
//
// # Assumptions
//
// The clocks of client and server run at the same rate within one percent; they
// need not agree on the time. On Linux the client's clock counts the time during
// which its machine was suspended; elsewhere it may not, and a hold that ran out
// meanwhile is noticed at the next renewal only. A virtual machine that is paused as a whole, clock
// included, is outside of what any lease can tell; there, only a fence or a
// guarded transaction protects. What each backend needs beyond that is said in
// its package, and the table in docs/guarantees.md shows what was measured.
package locker
