package broken

import (
	"strings"
	"time"

	"github.com/lockerlib/locker"
)

func spoiled() []spoiledLock {
	var all []spoiledLock
	for _, group := range [][]spoiledLock{
		basics(), waits(), cancels(), leases(), losses(), owners(), entries(), tokens(), queues(), names(), leftovers(), inputs(), processes(), faults(), clocks(), rooms(), scripted(), feeds(), clusters(), pairs(), connections(), alone(), tellings(),
	} {
		all = append(all, group...)
	}
	return all
}

func basics() []spoiledLock {
	return []spoiledLock{
		{"release does nothing", "Release stops renewing and sends nothing.", "B1", "free once Release has returned nil", flaw{releaseIgnored: true}},
		{"born closed", "Done is closed from the beginning.", "B2", "Done stays open", flaw{bornClosed: true}},
		{"release is a loss", "Release of a live hold reports a loss.", "B3", "is no loss", flaw{releaseSaysLost: true}},
		{"restless token", "Each renewal changes the token that the lock reports.", "B4", "Token is greater than 0 and does not change", flaw{tokenMoves: true}},
		{"short name", "Name reports the first byte of the name.", "B4", "Name is the name", flaw{shortName: true}},
		{"every release is nil", "Every Release of a level says nil.", "B5", "exactly one returns nil", flaw{secondIsSilent: true}},
		{"try grants", "TryAcquire grants without looking.", "X1", "while A held it", flaw{tryGrants: true}},
		{"try gives neither", "A refused TryAcquire returns nil and nil.", "X1", "neither a lock nor an error", flaw{tryNeither: true}},
		{"try waits", "TryAcquire waits like Acquire.", "X1", "a try does not wait", flaw{tryWaits: true}},
		{"moody", "Every seventh try is refused, whether or not the name is held.", "X4", "a try at a free name wins", flaw{tryFails: 7}},
		{"one key per client", "The key in the queue is made of the name and the client only.", "X7", "held name is refused", flaw{sharesByClient: true}},
	}
}

func waits() []spoiledLock {
	return []spoiledLock{
		{"never woken", "A release grants to nobody.", "W1", "wakes the waiter promptly", flaw{wakesNobody: true, onlyPushed: true}},
		{"wakes two", "A release grants to the first two waiters.", "W2", "one waiter only", flaw{wakesTwo: true}},
		{"waits for a release", "Expiry wakes nobody, and waiters look at nothing but the push.", "W3", "crash", flaw{wakesOnReleaseOnly: true, onlyPushed: true, waitersLiveForever: true}},
		{"polls", "Waiters ask a hundred times per TTL.", "W4", "waiting costs", flaw{polls: true}},
		{"dead watch", "A waiter whose push was lost is not told again.", "W5", "while its link was away", flaw{onlyPushed: true, waitersLiveForever: true, feedStopsSilently: true}},
		{"watches a ghost", "A waiter whose claim ran out waits on without one.", "W6", "still blocked on a free name", flaw{stuckWhenGone: true}},
	}
}

func cancels() []spoiledLock {
	return []spoiledLock{
		{"acquires when over", "A context that has ended acquires.", "C1", "never acquires", flaw{acquiresUnderDead: true}},
		{"own error", "Cancellation comes back as the library's own error.", "C1", "matches the context's error", flaw{hidesContext: true}},
		{"deaf", "Acquire ignores its context while it waits.", "C2", "returns within T/4", flaw{ignoresCancel: true}},
		{"ghost", "A cancelled waiter stays in the queue, and is renewed.", "C2", "no ghost", flaw{ghost: true}},
		{"dropped grant", "A cancelled waiter leaves the queue, but keeps what it was granted meanwhile.", "C3", "not stuck", flaw{leavesQueueOnly: true}},
		{"tied renewal", "Renewal ends with the context of Acquire.", "C4", "the hold lasts", flaw{renewsUnderAcquire: true}},
		{"release needs a context", "Release under a context that has ended does nothing.", "C5", "works under a context that has ended", flaw{releaseNeedsCtx: true}},
		{"timeout is held", "A deadline that passes is reported as ErrHeld.", "C6", "the context's error and its cause", flaw{heldForTimeout: true}},
		{"endless patience", "WithMaxWait is ignored.", "C7", "is a *HeldError", flaw{ignoresPatience: true}},
	}
}

func leases() []spoiledLock {
	return []spoiledLock{
		{"never expires", "The server never lets go of a dead client's hold.", "E1", "by one TTL and the slack", flaw{expiryNeverNoticed: true}},
		{"half lease", "The server lets go after half a TTL.", "E1", "until the Deadline", flaw{leaseOf: func(d time.Duration) time.Duration { return d / 2 }}},
		{"triple lease", "The server lets go after three TTLs.", "E1", "by one TTL and the slack", flaw{leaseOf: func(d time.Duration) time.Duration { return 3 * d }}},
		{"waiting renews nothing", "A claim that is repeated keeps the lease of the first time.", "E1", "until the Deadline", flaw{waitingRenewsNothing: true}},
		{"one lease for all", "The server keeps a default lease, whatever was granted.", "E2", "until its Deadline", flaw{leaseOf: func(time.Duration) time.Duration { return time.Second }}},
		{"dead waiters", "A waiter that died is granted the name and kept.", "E3", "dead waiter", flaw{waitersLiveForever: true}},
		{"echo", "TTL reports what was asked; the server keeps a second at least.", "E5", "by one TTL and the slack", flaw{echoesTTL: true, leaseOf: func(d time.Duration) time.Duration { return max(d, time.Second) }}},
		{"stale grant", "A grant whose lease ran out on the way is returned.", "E6", "validity is used up", flaw{noCheckAfterWait: true}},
		{"counts from the reply", "Validity counts from the answer.", "E7", "from before the request", flaw{deadlineFromReply: true}},
		{"no renewal", "A hold is never renewed.", "N1", "hold that is renewed lasts", flaw{noRenewal: true}},
		{"renews one", "Of the holds that a client renews only the first is kept, and all are confirmed.", "N1", "under contention", flaw{renewsOne: true}},
		{"zombie renewal", "Renewal goes on after Release, by name.", "N2", "by one TTL and the slack", flaw{renewsOn: true, renewsByName: true, anyAnswerRenews: true, noDeadline: true}},
		{"renews by name", "Renewal extends whoever holds the name.", "N3", "by one TTL and the slack", flaw{renewsByName: true}},
		{"renewal revives", "Renewal of a hold that is gone writes it anew.", "N4", "does not bring a hold back", flaw{renewalRevives: true}},
		{"gives up", "One failed renewal is taken for a loss.", "N5", "the hold lasts", flaw{givesUp: true}},
		{"renewal adds", "Renewal adds a TTL to what is left of the lease.", "N6", "by one TTL and the slack", flaw{renewalAdds: true}},
	}
}

func losses() []spoiledLock {
	return []spoiledLock{
		{"never told", "A holder that cannot renew believes on.", "L1", "told by its Deadline", flaw{noDeadline: true}},
		{"told late", "The deadline lies a twentieth of a TTL behind the server's.", "L1", "told before another can acquire", flaw{deadlineSlips: 50 * time.Millisecond}},
		{"any answer renews", "A renewal is not looked at: that it was answered is enough.", "L3", "told by the next renewal", flaw{anyAnswerRenews: true}},
		{"closes twice", "Release of a lost hold closes Done again.", "L4", "no panic", flaw{closesTwice: true}},
		{"forgets the cause", "After Release of a lost hold, Err says released.", "L4", "the same for ever", flaw{errChanges: true}},
		{"fresh Done", "Done gives a new channel once the hold is over.", "L5", "whoever looks late", flaw{freshDone: true}},
		{"sleeps through", "The clock stands still while the machine is suspended.", "L6", "knows of the suspension", flaw{monotonicOnly: true}},
	}
}

func owners() []spoiledLock {
	return []spoiledLock{
		{"deletes by name", "A stale release removes whoever holds the name.", "O1", "after A's stale release", flaw{releasesByName: true, tellsLost: true}},
		{"silent second release", "A second release says nil.", "O2", "says ErrReleased", flaw{secondIsSilent: true}},
		{"second release is sent", "A second release goes to the server, which deletes by name.", "O2", "after A's second release", flaw{releasesByName: true}},
		{"compares the client", "A release removes whatever hold the client has.", "O3", "refused", flaw{releasesByClient: true}},
		{"lost answer, old life", "A release whose answer was lost goes back to renewing.", "O4", "free by one TTL and the slack", flaw{resumesRenewal: true, renewalRevives: true}},
		{"retry by client", "A release whose answer was lost is retried by the client's key, which a newer hold has too.", "O8", "after the release of the first hold was retried", flaw{retriesByClient: true}},
		{"blind retry", "A claim that was not answered is sent again under a new ID.", "O5", "one's own claim", flaw{freshIDs: true, ghost: true}},
		{"compares prefixes", "A release removes a hold of a client whose name begins with its own.", "O6", "a held name is refused", flaw{releasesByPrefix: true}},
		{"breaks anybody", "Break does not look at the token.", "O7", "token that is not current", flaw{breaksAny: true}},
	}
}

func entries() []spoiledLock {
	return []spoiledLock{
		{"first frees all", "The first release of a re-entrant hold frees it.", "R1", "while A was inside", flaw{firstFreesAll: true}},
		{"one release too many", "A re-entrant hold needs one release more than acquires.", "R1", "last release frees", flaw{oneTooMany: true}},
		{"waits for itself", "A local mutex without a context guards each name.", "R2", "honours its context", flaw{localMutex: true, ignoresCancel: true}},
		{"anyone enters", "Every goroutine of a client enters its holds.", "R3", "held name is refused", flaw{anyoneEnters: true}},
		{"identity enters", "A Locker with the same identity enters.", "R3", "on another Locker", flaw{identityEnters: true}},
		{"token per level", "Each level has a token of its own.", "R4", "token does not change", flaw{tokenPerLevel: true, tokensCounted: true}},
		{"TTL per level", "A re-entry with another TTL reports that one.", "R4", "TTL does not change", flaw{ttlPerLevel: true}},
		{"failures count", "A re-entry that failed is counted.", "R5", "one release frees", flaw{failedCounts: true}},
		{"newest level only", "A loss ends the newest level only.", "R6", "ends every level", flaw{newestOnly: true}},
		{"lease per level", "Each re-entry adds a lease.", "R7", "by one TTL and the slack", flaw{leasePerLevel: true}},
		{"count resumes", "After a loss the count goes on where it was.", "R8", "one release frees", flaw{countResumes: true}},
	}
}

func tokens() []spoiledLock {
	last := func(n uint64) func(string, *claim, uint64) uint64 {
		return func(string, *claim, uint64) uint64 { return n }
	}
	return []spoiledLock{
		{"constant token", "Every hold has the same token.", "F1", "strictly increase", flaw{token: last(7)}},
		{"token per client", "Each client counts its own tokens.", "F1", "strictly increase", flaw{tokenPerClient: true, tokensCounted: true}},
		{"token in the key", "The counter goes with the key.", "F2", "was not held for a while", flaw{tokenInKey: true, tokensCounted: true}},
		{"token reset", "An eviction resets the counter.", "F3", "over an eviction", flaw{tokenResetByEviction: true, tokensCounted: true}},
		{"token after the grant", "The token is fetched by a second request.", "F4", "late write", flaw{tokenAfterGrant: true, noCheckAfterWait: true}},
		{"no token", "Every token is zero.", "F5", "greater than 0", flaw{noTokens: true}},
		{"large token", "Tokens are nanoseconds since 1970.", "F5", "below 2^53", flaw{token: func(_ string, _ *claim, n uint64) uint64 { return uint64(time.Now().UnixNano()) + n }}},
		{"token per process", "A hold that passes inside one client keeps its token.", "F6", "inside one client", flaw{tokenPerStay: true}},
	}
}

func queues() []spoiledLock {
	return []spoiledLock{
		{"last come, first served", "A new waiter goes to the head of the queue.", "Q1", "in the order", flaw{lifo: true}},
		{"favours", "The queue is sorted by client.", "Q2", "gets a share", flaw{favours: true}},
		{"hands down", "A client's own waiters come first as long as it holds.", "Q4", "that many of another client want", flaw{handsDown: true}},
		{"cancel moves the queue", "A waiter that leaves moves the next one to the end.", "Q3", "in the order", flaw{cancelReorders: true}},
	}
}

func names() []spoiledLock {
	return []spoiledLock{
		{"long names cut", "Names are cut to 64 bytes.", "I1", "never share a lock", flaw{name: func(s string) string { return s[:min(64, len(s))] }}},
		{"blocks what is under it", "A name and those under it share a lock.", "I1", "never share a lock", flaw{name: func(s string) string { head, _, _ := strings.Cut(s, "/"); return head }}},
		{"folds case", "Names are folded to lower case.", "I1", "never share a lock", flaw{name: strings.ToLower}},
		{"ends at NUL", "Names end at a NUL.", "I1", "never share a lock", flaw{name: func(s string) string { head, _, _ := strings.Cut(s, "\x00"); return head }}},
		{"trims", "Spaces around a name are dropped.", "I1", "never share a lock", flaw{name: strings.TrimSpace}},
		{"joins with a slash", "A key is the prefix, a slash and the name.", "I2", "two prefixes never share a lock", flaw{joinsPrefix: true}},
		{"drops braces", "A hash tag is taken for the whole name.", "I1", "never share a lock", flaw{name: hashTag}},
	}
}

func hashTag(s string) string {
	if _, rest, ok := strings.Cut(s, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return s
}

func leftovers() []spoiledLock {
	return []spoiledLock{
		{"key left", "Release leaves a key behind.", "H1", "nothing is left on the server", flaw{keyLeft: true}},
		{"goroutine left", "Close leaves a goroutine behind.", "H2", "no goroutine is left", flaw{leaksGoroutine: true}},
		{"close keeps", "Close sends no release.", "H3", "frees what was held", flaw{closeKeeps: true}},
		{"close is a release", "Close ends holds as released.", "H3", "as lost and closed", flaw{closeIsRelease: true}},
		{"close leaves waiters", "Close does not wake those who wait.", "H3", "wakes waiters", flaw{closeLeavesWaits: true}},
		{"lease left", "A try that fails leaves its lease.", "H4", "leaves nothing on the server", flaw{leaseLeftByTry: true}},
		{"close panics", "A second Close panics.", "H6", "no panic", flaw{closeTwicePanics: true}},
		{"closes everything", "Close closes the client that the caller passed in.", "H7", "works after Close", flaw{closesShared: true}},
	}
}

// lenient takes what the contract refuses.
func lenient(accepts func(name string) bool, ttl time.Duration, clean func(string) string) func(string) (locker.Request, bool) {
	return func(name string) (locker.Request, bool) {
		if !accepts(name) {
			return locker.Request{}, false
		}
		if clean != nil {
			name = clean(name)
		}
		return locker.Request{Name: name, TTL: ttl}, true
	}
}

// tooShort is right only for leases that are longer than the shortest.
func tooShort(ttl time.Duration) time.Duration {
	if ttl < 100*time.Millisecond {
		return time.Millisecond
	}
	return ttl
}

func inputs() []spoiledLock {
	is := func(want string) func(string) bool { return func(s string) bool { return s == want } }
	toValid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
	return []spoiledLock{
		{"zero is for ever", "A TTL of zero or less never runs out.", "Z1", "is ErrInvalid", flaw{lenient: lenient(is("z1"), 0, nil)}},
		{"short lease", "A lease of less than 100 ms is reported as 10 ms, and kept for one.", "Z2", "nobody else gets the name", flaw{
			ttl:             func(d time.Duration) time.Duration { return max(d, 10*time.Millisecond) },
			leaseOf:         tooShort,
			anyAnswerRenews: true,
		}},
		{"rounds to zero", "A TTL below a millisecond is rounded down, and never runs out.", "Z2", "rounded up", flaw{ttl: func(d time.Duration) time.Duration { return d.Truncate(time.Millisecond) }}},
		{"overflow", "A TTL of a hundred years overflows into a day.", "Z3", "is ErrInvalid", flaw{lenient: lenient(is("z3"), 24*time.Hour, nil)}},
		{"nameless", "An empty name is a name.", "Z4", "is ErrInvalid", flaw{lenient: lenient(is(""), time.Second, nil)}},
		{"long-winded", "A name of any length is sent.", "Z5", "is ErrInvalid", flaw{lenient: lenient(func(s string) bool { return len(s) > locker.MaxNameLen }, time.Second, nil)}},
		{"replaces bytes", "What is not UTF-8 becomes U+FFFD.", "Z6", "is ErrInvalid", flaw{lenient: lenient(func(s string) bool { return s != toValid(s) }, time.Second, toValid)}},
		{"nil is welcome", "A nil context or option is taken.", "Z7", "is ErrInvalid", flaw{lenient: lenient(is("z7"), time.Second, nil)}},
		{"tidies up", "Control characters are dropped from owner and metadata.", "Z8", "as given", flaw{cleans: printable}},
	}
}

func faults() []spoiledLock {
	return []spoiledLock{
		{"impatient", "A renewal that is not answered within an eighth of the TTL is taken for a loss.", "S1", "the hold lasts", flaw{givesUp: true}},
		{"trusts the server", "A holder whose server says nothing believes on.", "S2", "told by its Deadline", flaw{noDeadline: true}},
		{"kept in memory", "The server writes nothing down.", "S3", "a held name is refused", flaw{forgetsOnRestart: true}},
		{"counts in memory", "The counter for tokens begins anew when the server starts with nothing.", "S4", "tokens increase under every fault", flaw{tokensCounted: true}},
		{"counts in the data", "The counter for tokens is deleted with the rest.", "S10b", "tokens increase under every fault", flaw{tokensCounted: true}},
		{"counts milliseconds", "Tokens follow a clock that many quick grants overtake.", "F7", "tokens increase after all data was deleted", flaw{coarseTokens: true}},
		{"impatient with its link", "A renewal that is not answered within an eighth of the TTL is taken for a loss.", "S5", "the hold lasts", flaw{givesUp: true}},
		{"wall clock", "The deadline is a time of day.", "S11", "the hold lasts", flaw{wallClock: true}},
		{"one renewal at a time", "No renewal is sent before the last one is answered.", "S12", "the hold lasts", flaw{oneInFlight: true}},
		{"haunted", "A claim that was given up is renewed if the server has it after all.", "S14", "gone by one TTL and the slack", flaw{ghost: true}},
		{"a counter for each name", "The counter for the tokens of a name stays for ever.", "H5", "gone after a few TTLs", flaw{counterStays: true}},
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
