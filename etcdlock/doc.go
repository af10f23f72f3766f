// Package etcdlock keeps locks on etcd.
//
// Open a Locker by URL, or with New over a client of your own:
//
//	etcd://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/PREFIX][?PARAMETER=VALUE&…]
//	etcds://…                                  the same with TLS
//
// The port is 2379 and the prefix "locker" unless given. Parameters:
//
//	mode                  lease (default) or session
//	ttl                   default of locker.WithTTL, for instance 15s
//	dial_timeout          for connecting and for a token, 5s unless given
//	username, password    in place of USER:PASSWORD
//	ca                    file with the PEM certificates to trust; implies TLS
//	cert, key             files with our own certificate and its key; imply TLS
//	server_name           name to expect in the server's certificate
//	insecure_skip_verify  true: do not check the server's certificate
//
// # What is promised
//
// A hold is a key bound to a lease. The claims of a name queue up by their
// create revision: the first one holds, and its create revision is the tenure
// that the fencing token is made of. It increases over release, expiry, break
// and restart; it can only fall when etcd is restored from a snapshot without a
// revision bump.
//
// Waiters are served in the order in which the server queued them. A hold can
// guard a transaction, see Guard.
//
// # What is assumed
//
// Clocks of client and server run at the same rate, give or take 1 %. The
// server has the lease fixes of etcd #16822 and #20590. TTLs are up to 300 s:
// above, a leader change can shorten a lease to its last checkpoint. Against a
// pause of the whole virtual machine only a guard or a fencing token protects.
//
// # What etcd does with time
//
// A TTL is a whole number of seconds and has a floor, 2 s with the default
// election timeout: Lock.TTL tells what was granted. The server looks for
// expired leases every 500 ms, so a crashed holder is followed after up to the
// TTL and half a second more. A restart or a change of leader renews every
// lease in full.
//
// Holder.Since and Waiter.Since stay zero: etcd keeps no time with a key.
//
// # Session mode
//
// Session mode is for those who want etcd's own concurrency.Session and
// concurrency.Mutex, and their code paths, on the wire. It queues up under the
// same keys as lease mode, so Lockers of both modes exclude each other, and
// their tokens increase together. It is made as safe as it can be from outside:
// each claim has a session of its own, deadlines count from keepalives that
// this package sends itself, and a session of which any request was not
// answered is revoked. What remains, and lease mode does better:
//
//   - A failing TryAcquire writes a key and deletes it again. While it is there
//     others find the name taken: of several tries on a free name all may fail.
//   - A hold that is broken or deleted by hand is noticed at the next renewal,
//     after up to a third of the TTL; a Mutex does not watch its own key.
//   - The holder of a broken lock is told that the hold was evicted: it sees
//     only that its key is gone.
//   - A handoff takes about 100 ms and two more reads: a Mutex opens a watch for
//     each wait, at a revision that has passed.
//   - A waiter whose watch fails, for instance by a compaction, queues up anew
//     at the end.
//   - A Mutex writes empty values: others see neither client, owner nor
//     metadata, only the token.
//   - Each claim has a lease and two goroutines of its own, and each lease is
//     renewed by itself.
package etcdlock
