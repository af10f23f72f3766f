package broken

import "time"

// alone returns locks with a narrow flaw. Each shows only in the situation that
// one check brings about, so that without that check nobody would find it.
func alone() []spoiledLock {
	var all []spoiledLock
	for _, group := range [][]spoiledLock{
		aloneAcquiring(), aloneWaiting(), aloneLeases(), aloneLosses(), aloneReleases(), aloneTokens(), aloneFaults(),
	} {
		all = append(all, group...)
	}
	return all
}

func aloneAcquiring() []spoiledLock {
	return []spoiledLock{
		{"nameless refusal", "A *HeldError does not say of which name.", "X1", "with the name", flaw{narrow: narrow{namelessRefusal: true}}},
		{"quick hold", "A hold that came and went within one millisecond of the server's clock is released to two clients.", "X2", "one client is inside", flaw{narrow: narrow{wakesTwoClients: true}}},
		{"look, then take", "A try looks whether the name is free, and takes it with the next request.", "X3", "exactly one of the tries wins", flaw{narrow: narrow{tryLooksFirst: true}}},
		{"remembers refusals", "A client that was refused believes for a millisecond that the name is held.", "X4", "a try at a free name wins", flaw{narrow: narrow{refusalsLast: true}}},
		{"tries in the process", "A try in another process asks what is held by that process.", "X5", "in another process", flaw{narrow: narrow{trySeesProcess: true}}},
		{"quick hold in a client", "A hold that came and went within one millisecond of the server's clock is released to two goroutines of one client.", "X7", "one client is inside", flaw{narrow: narrow{wakesTwoOfOne: true}}},
		{"tries when over", "A try does not look whether its context has ended.", "C1", "never acquires", flaw{narrow: narrow{tryUnderDead: true}}},
		{"slow to leave", "A waiter behind another client takes a third of a TTL to see that it was cancelled.", "C2", "within T/4", flaw{narrow: narrow{cancelsSlowly: true}}},
		{"keeps what came too late", "A waiter that is cancelled by its caller keeps what it had been granted by then.", "C3", "not stuck", flaw{narrow: narrow{keepsCancelled: true}}},
		{"context at renewal", "The context of Acquire ends the renewal, if it lives until that begins.", "C4", "the hold lasts", flaw{narrow: narrow{ctxAtRenewal: true}}},
		{"no cause", "A deadline that passed is reported without its cause.", "C6", "the context's error and its cause", flaw{narrow: narrow{hidesCause: true}}},
		{"patience in steps", "WithMaxWait is looked at when the waiter asks again.", "C7", "patience is used and not exceeded", flaw{narrow: narrow{patienceAtPoll: true}}},
	}
}

func aloneWaiting() []spoiledLock {
	return []spoiledLock{
		{"forgets who asks again", "A waiter that is alone is not told of a release between its second request and its third.", "W1", "wakes the waiter promptly", flaw{narrow: narrow{mutesOld: true}}},
		{"two by hand-over", "The release of a hold that was handed over is granted to two.", "W2", "one waiter only", flaw{narrow: narrow{wakesTwoHanded: true}}},
		{"crash unnoticed", "The expiry of a client that crashed before its first renewal does not wake who waited already.", "W3", "after the holder's crash", flaw{narrow: narrow{crashUnnoticed: true}}},
		{"told once", "A waiter that could not be reached when it was granted the name is not told of it again.", "W5", "while its link was away", flaw{narrow: narrow{tellsOnce: true}}},
		{"waits outside", "A waiter whose claim ran out under a holder waits for that one, and does not queue up again.", "W6", "still blocked on a free name", flaw{narrow: narrow{watchesHolder: true}}},
		{"swaps in a crowd", "Of more than four waiters the second is served before the first.", "Q1", "in the order", flaw{narrow: narrow{fifthPasses: true}}},
	}
}

func aloneLeases() []spoiledLock {
	tens := func(d time.Duration) time.Duration {
		if d < 10*time.Millisecond {
			return d
		}
		return max(d, time.Second)
	}
	small := func(d time.Duration) time.Duration {
		if d < time.Millisecond {
			return 0
		}
		return d
	}
	return []spoiledLock{
		{"every second renewal", "The server answers every renewal, and keeps every second one.", "E1", "until the Deadline", flaw{narrow: narrow{skipsEvenRenewal: true}}},
		{"one lease for a client", "The holds of a client have one lease, the longest that it asked for.", "E2", "by one TTL and the slack", flaw{narrow: narrow{longestForAll: true}}},
		{"something to spare", "A waiter that is granted the name has half a TTL more to answer.", "E3", "dead waiter", flaw{narrow: narrow{spareAtGrant: true}}},
		{"a second at least", "The server keeps a second at least where fractions of it were asked, and reports what was asked.", "E5", "by one TTL and the slack", flaw{echoesTTL: true, leaseOf: tens}},
		{"first answer is welcome", "The answer to the first request is taken, however late it is.", "E6", "validity is used up", flaw{narrow: narrow{firstPatience: 20, staleFirst: 2 * time.Second}}},
		{"eleven renewals", "A hold is renewed eleven times and no more.", "N1", "hold that is renewed lasts", flaw{narrow: narrow{renewalsAtMost: 11}}},
		{"zombie of a renewed hold", "The renewal of a hold that was ever renewed goes on after Release, by name.", "N2", "by one TTL and the slack", flaw{narrow: narrow{zombie: true}}},
		{"renews its successor", "The renewal of a hold that is gone extends whoever has the name, and then says so.", "N3", "by one TTL and the slack", flaw{narrow: narrow{renewsNextToo: true}}},
		{"revives and denies", "The renewal of a hold that was removed writes it anew, and says that it was gone.", "N4", "does not bring a hold back", flaw{narrow: narrow{revivesSilently: true}}},
		{"adds up failures", "The second renewal of a hold that fails is taken for a loss, whatever came between.", "N5", "the hold lasts", flaw{narrow: narrow{failuresAddUp: true}}},
		{"lease that creeps", "Each renewal adds a twenty-fifth of a TTL.", "N6", "by one TTL and the slack", flaw{narrow: narrow{renewalCreeps: 40 * time.Millisecond}}},
		{"nothing is for ever", "A TTL below a millisecond never runs out.", "Z2", "rounded up", flaw{ttl: small}},
	}
}

func aloneLosses() []spoiledLock {
	return []spoiledLock{
		{"asks what it lost", "The release of a lost hold waits for the server.", "L1", "does not block on a lost hold", flaw{narrow: narrow{lostAsksFirst: true}}},
		{"wakes for sleep only", "Err looks at the clock only if the machine was suspended.", "L2", "never believes to hold", flaw{narrow: narrow{looksAfterSleep: true}}},
		{"late cleaning", "Who lost a hold removes the name's holder more than a TTL later.", "L3", "the hold lasts", flaw{narrow: narrow{cleansUpLater: true}}},
		{"fresh Done, later", "Half a TTL after a loss, Done gives a new channel.", "L5", "whoever looks late", flaw{narrow: narrow{freshDoneLater: true}}},
		{"Done of the first level", "A loss closes Done of the first level; of the others only Err tells.", "R6", "ends every level", flaw{narrow: narrow{oldestToldOnly: true}}},
		{"owner's count resumes", "After the loss of an owner's hold its count goes on where it was.", "R8", "one release frees", flaw{narrow: narrow{resumesOwned: true}}},
	}
}

func aloneReleases() []spoiledLock {
	return []spoiledLock{
		{"released behind one's back", "Release of what Acquire got asks whether it is still there, and returns before the server is told to free it.", "B1", "free once Release has returned nil", flaw{narrow: narrow{releasesLater: true}}},
		{"Done of nobody", "The release of a hold without an owner leaves Done open.", "B2", "Done is closed once Release", flaw{narrow: narrow{doneStaysOpen: true}}},
		{"deadline outlives release", "When the deadline of a released hold passes, Err says lost.", "B3", "not lost", flaw{narrow: narrow{deadlineOutlives: true}}},
		{"first deadline", "Deadline reports the first one for ever.", "B4", "renewal moves the Deadline", flaw{narrow: narrow{deadlineStays: true}}},
		{"shared release", "Those who release one level at the same time are all told what the first is told.", "B5", "exactly one returns nil", flaw{narrow: narrow{sharesRelease: true}}},
		{"gone is good", "A release that finds nothing says nil.", "O1", "says ErrLost", flaw{narrow: narrow{lostSaysNil: true}}},
		{"successor is good", "A second release says nil when another client holds the name.", "O2", "says ErrReleased", flaw{narrow: narrow{seesSuccessor: true}}},
		{"frees its own", "The release of a lost hold frees what its client holds by then.", "O3", "after the lost handle was released", flaw{narrow: narrow{freesOwn: true}}},
		{"retry is a loss", "A release that is retried because it was not answered finds nothing, and says lost.", "O4", "retried release is no loss", flaw{narrow: narrow{retrySaysLost: true}}},
		{"refused by itself", "A try that was not answered is sent again under a new ID.", "O5", "one's own claim", flaw{narrow: narrow{tryAsksAnew: true}}},
		{"enters by prefix", "An owner enters the hold of one whose name begins with its own.", "O6", "a held name is refused", flaw{narrow: narrow{entersByPrefix: true}}},
		{"first level frees", "The release of the first level frees the name.", "R1", "while A was inside", flaw{narrow: narrow{oldestFrees: true}}},
		{"takes its own along", "A waiter that is cancelled behind its own client's hold takes that along.", "R2", "Release of a live hold returns nil", flaw{narrow: narrow{undoesOwn: true}}},
		{"session left", "Close leaves a key of its own.", "H1", "nothing is left on the server", flaw{narrow: narrow{leavesSession: true}}},
		{"goroutine lingers", "A goroutine goes on for two TTLs after Close.", "H2", "no goroutine is left", flaw{narrow: narrow{lingers: true}}},
		{"lease until Close", "A try that fails leaves its lease until its client is closed.", "H4", "leaves nothing on the server", flaw{narrow: narrow{leaseUntilClose: true}}},
		{"closes once", "A Close beside another Close is an error.", "H6", "Close returns nil", flaw{narrow: narrow{closesOnce: true}}},
	}
}

func aloneTokens() []spoiledLock {
	return []spoiledLock{
		{"blocks of tokens", "Tokens are reserved in blocks of a hundred; another client that comes to the end of one gets its last token again.", "F1", "strictly increase", flaw{narrow: narrow{blocks: 100}}},
		{"counter runs out", "The counter of a name that nobody had for a TTL is dropped.", "F2", "was not held for a while", flaw{narrow: narrow{forgetsIdle: true}}},
		{"counter is set back", "The eviction of a hold that was never renewed is undone in the counter when the next lease runs out.", "F3", "over expiry", flaw{narrow: narrow{setsBack: true}}},
		{"token for a late grant", "A grant that came a little too late is taken, and a token is fetched for it.", "F4", "late write", flaw{narrow: narrow{firstPatience: 13, staleFirst: time.Second / 3, staleFetches: true}}},
		{"token handed on", "A waiter gets the token of the hold of its own client that is released to it.", "F6", "inside one client", flaw{narrow: narrow{handsTokenOn: true}}},
		{"skips a thousand", "Tokens begin at a clock of milliseconds, and skip a thousand whenever the counter is lost.", "F7", "tokens increase after all data was deleted", flaw{narrow: narrow{skipsThousand: true}}},
	}
}

func aloneFaults() []spoiledLock {
	return []spoiledLock{
		{"standstill is silence", "A server that stood still takes the silence for the death of its clients.", "S1", "after a short standstill", flaw{narrow: narrow{dropsOnResume: true}}},
		{"hopes for an answer", "A hold outlives its deadline while a renewal is under way on a link that is up.", "S2", "told by its Deadline", flaw{narrow: narrow{adoptsFlying: true}}},
		{"begins to count anew", "A server that starts with nothing begins to count anew.", "S4", "tokens increase under every fault", flaw{narrow: narrow{restartCounts: true}}},
		{"arrived is answered", "A renewal counts as soon as the server has it.", "S5", "told by its Deadline", flaw{narrow: narrow{arrivedIsAnswered: true}}},
		{"dies with its last words", "A leader that is killed takes along what it answered in its last moments.", "S7", "a held name is refused", flaw{narrow: narrow{diesWithLast: true}}},
		{"unread counts from now", "A grant that lay unread on the connection counts from when it is read.", "S17", "read when its lease is over gives no lock", flaw{narrow: narrow{believesUnread: true}}},
		{"counter of the holder", "When all data is deleted, the counters of names that are held are deleted with it.", "S10b", "tokens increase under every fault", flaw{narrow: narrow{flushCountsHeld: true}}},
		{"late answers", "The answer to a renewal does not count if it takes longer than a third of a TTL.", "S12", "the hold lasts", flaw{narrow: narrow{renewalImpatient: true}}},
		{"reset is a loss", "A connection that is reset under a renewal is taken for a loss.", "S19", "the hold lasts", flaw{narrow: narrow{resetIsLoss: true}}},
		{"replica counts on", "A replica that is promoted counts tokens on from what it has.", "S9", "tokens increase under every fault", flaw{narrow: narrow{promotionCounts: true}}},
		{"holds are connections", "A server that ends all connections drops the holds with them.", "S10d", "after the server ended all connections", flaw{narrow: narrow{holdsAreConnections: true}}},
		{"compacts holds", "A compaction takes the holds for history.", "S10e", "after a compaction", flaw{narrow: narrow{compactsHolds: true}}},
		{"counter is in the way", "A hold that is evicted to make room takes the counter of its name along.", "S10a", "tokens increase under every fault", flaw{narrow: narrow{evictsCounter: true}}},
		{"revived by the network", "A renewal that comes in the moment in which the network is back writes its hold anew.", "S18", "does not bring a hold back", flaw{narrow: narrow{networkRevives: true}}},
		{"undone for ever", "A claim that the server carries out after its undo, on running on, has no lease.", "S14", "gone by one TTL and the slack", flaw{narrow: narrow{undoneForEver: true}}},
	}
}
