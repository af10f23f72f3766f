// Package redislock keeps locks on Redis: one primary, version 5 or later.
//
// The promise is that of package locker, as long as the primary keeps its data
// and its clock is not stepped: at most one client holds a name, waiters are
// served in the order in which they came, a waiter learns of its grant by a
// push, and tokens grow. Redis by itself cannot promise more, so where it
// matters, fence the writes with the token, or check the Guard of the Lock in a
// script of your own; package txn has no store on Redis:
//
//   - Failover. A replica that takes over may not have the last writes of the
//     old primary, and so gives a name that is held to somebody else. WAIT
//     would narrow this window and not close it.
//   - Restart. What the server had not saved is gone: everything without
//     persistence, and up to a second with appendfsync everysec.
//   - Eviction. With a maxmemory-policy other than noeviction, Redis deletes
//     keys to make room, holds among them. Each expires, so volatile-* does
//     not spare them. A holder learns of it at its next renewal.
//   - Clock. Redis ends leases by its wall clock. A step forward ends holds
//     early; a step back makes those of dead holders last longer.
//
// Tokens follow the clock of the server and count on from the last one, so
// they grow even over FLUSHALL: a tenure is the larger of the last one plus 1
// and the number of 10 µs ticks since 2025. A name changes hands at most once in
// a round trip or in a script that hands it over, and both take longer than a
// tick, so tenures do not run ahead of the clock. The last tenure is
// kept for a TTL after the grant, at least; a clock that is stepped back by
// more than that, or back at all after its data was lost, can repeat tokens.
//
// Open understands
//
//	redis://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=PREFIX&ttl=15s&…]
//	rediss://…
//
// with the parameters of redis.ParseURL of go-redis, and
//
//	prefix  of every key and channel, by default "locker:"; without braces
//	ttl     the default of locker.WithTTL
//
// and, for rediss, with names of PEM files and what else TLS needs:
//
//	ca                    certificates to trust instead of those of the system
//	cert, key             of this client
//	server_name           the host on the certificate of the server, if it is another
//	insecure_skip_verify  "true": do not check who the server is
//
// # On the server
//
// The keys of a lock begin with PREFIX{NAME}: and all of them expire; queue.lua
// describes them. In the name, braces, '%', spaces and control characters are
// written as %XX. The last one to go is the counter for tokens, t, two TTLs and
// a second after the last grant. One Locker uses one Pub/Sub channel, once it
// waits or holds for longer than a third of the TTL.
//
// An uncontended Acquire and Release are one EVALSHA each. All holds and
// waiting claims of a Locker are renewed by one EVALSHA per 1,024 and tick. Once
// something is renewed, up to three connections of the pool (a quarter of it at
// most) stand by, so that a renewal whose predecessor is not answered yet need
// not wait for one to be made.
package redislock
