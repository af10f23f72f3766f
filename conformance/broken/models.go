package broken

import (
	"maps"
	"slices"
)

// models tells which defects of locks that people used are rebuilt here, by the
// name of the broken locker.
var models = map[string]string{
	"one key per client":      "etcd concurrency.Mutex, issue 11364: the key is prefix and lease, so that two Mutexes of a session both hold",
	"retry by client":         "etcd concurrency.Mutex, issue 22082: an Unlock that is retried deletes the key of a newer Lock of the session",
	"watches a ghost":         "etcd concurrency.Mutex, issue 19597: a waiter whose lease is gone waits until the holder leaves",
	"ghost":                   "etcd concurrency.Mutex, issue 9715: a claim that nobody waits for any more is kept alive by its session",
	"blocks what is under it": "etcd concurrency.Mutex: Lock(p) waits for a holder of p/x",
	"tied renewal":            "etcd concurrency.Session made with a context: renewal ends with it",
	"told late":               "etcd concurrency.Session, rueidislock: the loss is told after the next owner has acquired",
	"compares prefixes":       "bsm/redislock: the token job-1 frees job-10",
	"renewal revives":         "redsync WithSetNXOnExtend: extending a lock that has run out acquires it",
	"own error":               "redsync: a context that ended comes back as the library's own error",
	"blind retry":             "go-redis with its default retries under SET NX: an answer that was lost makes one's own claim look like another's",
	"polls":                   "redsync, bsm/redislock: waiting is asking again and again",
	"token after the grant":   "Redis recipes that fetch the fencing token by INCR after SET NX: a stalled holder gets the greater token",
	"renewal adds":            "OpenStack tooz: a heartbeat adds its TTL to what is left",
	"zombie renewal":          "Redisson, issue 7272: renewal goes on after unlock",
	"never told":              "Redisson, issue 4698: renewal stops and nobody is told",
	"never woken":             "Redisson, issue 5761: a wake-up that was missed costs a TTL",
	"token per level":         "Redisson: re-entry raises the fencing token",
	"token in the key":        "madelson/DistributedLock on MongoDB: the fence starts again after a release",
	"no script, no hold":      "redlock-rb, issue 27: a client does not recover when the server has forgotten its scripts",
	"subscribes once":         "Redisson, issue 6026: subscriptions are not made again after the server was away",
	"follows a gap":           "etcd3-py, issue 61: a watch of what was compacted waits for ever",
	"the old leader revokes":  "etcd, issue 15247: a leader that does not know that it is none any more revokes leases",
	"rounds to zero":          "valkeyrie: a TTL below a second becomes no expiry",
}

// Models lists the broken lockers that are models of real defects.
func Models() []string { return slices.Sorted(maps.Keys(models)) }
