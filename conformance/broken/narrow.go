package broken

import "time"

// narrow says what is spoiled in one situation only, so that only the check
// that brings it about can see it. It is a part of flaw.
type narrow struct {
	// Acquire.
	refusalsLast    bool // a refusal is remembered for a millisecond
	namelessRefusal bool
	trySeesProcess  bool // a try in another process sees the holds of that process only
	tryLooksFirst   bool // and takes the name then
	tryUnderDead    bool // a try does not see that its context has ended
	tryAsksAnew     bool // under a new ID, when it was not answered
	hidesCause      bool // of a deadline that passed
	cancelsSlowly   bool // a waiter behind another client
	keepsCancelled  bool // what a cancelled waiter had been granted
	undoesOwn       bool // a cancelled waiter takes its client's hold along
	patienceAtPoll  bool // patience is looked at when the waiter asks
	tellsOnce       bool // of a grant
	watchesHolder   bool // a waiter whose claim ran out under a holder does not queue up again
	firstPatience   int  // tenths of a TTL that the first request may take
	staleFirst      time.Duration
	staleFetches    bool // a token for a grant that is stale
	believesUnread  bool // a push that lay unread counts from when it is read
	entersByPrefix  bool // an owner with whose name the holder's begins
	resumesOwned    bool // countResumes, for owners only

	// A hold.
	deadlineStays     bool // Deadline gives the first one
	deadlineOutlives  bool // a release: Err says lost when it has passed
	ctxAtRenewal      bool // the context of Acquire counts if it lives at the first renewal
	adoptsFlying      bool // the deadline waits for a renewal that is under way
	arrivedIsAnswered bool // a renewal counts when the server has it
	renewalsAtMost    int
	failuresAddUp     bool // the second renewal that fails is a loss
	renewalImpatient  bool // answers that take longer than a third of a TTL do not count
	resetIsLoss       bool // of the connection that carries a renewal
	cleansUpLater     bool // who lost a hold removes the name's holder later
	looksAfterSleep   bool // Err looks at the clock only if the machine slept
	oldestToldOnly    bool // Done of the first level closes on a loss, and no other
	freshDoneLater    bool // half a TTL after a loss, Done gives a new channel

	// Release.
	releasesLater bool // the server is told a moment later
	doneStaysOpen bool // of a released hold without an owner
	sharesRelease bool // those who release at once share what the first was told
	seesSuccessor bool // a second release says nil if another client holds by then
	lostSaysNil   bool // a release that finds nothing
	freesOwn      bool // the release of a lost hold frees what its client holds
	retrySaysLost bool // after a release that was not answered
	lostAsksFirst bool // the release of a lost hold asks the server
	oldestFrees   bool // the release of the first level frees the name
	zombie        bool // a hold that was renewed is renewed by name after its release
	leavesSession bool // Close leaves a key
	lingers       bool // a goroutine, for two TTLs after Close
	closesOnce    bool // a Close beside another Close is an error

	// The server.
	mutesOld            bool // a waiter that asked again once is not told of a release
	wakesTwoHanded      bool // by the release of a hold that was handed over
	wakesTwoClients     bool // by the release of a hold of less than a millisecond
	wakesTwoOfOne       bool // the same, of one client
	crashUnnoticed      bool // the expiry of a crashed hold that was never renewed wakes nobody
	skipsEvenRenewal    bool
	renewalCreeps       time.Duration // by which each renewal of a hold lasts longer than the one before
	longestForAll       bool          // the holds of a client have the longest lease of them
	spareAtGrant        bool          // a waiter that is granted the name has half a TTL more
	renewsNextToo       bool          // the renewal of a hold that was renewed before extends its successor
	revivesSilently     bool          // a renewal that finds nothing writes the hold, and says that it is gone
	forgetsIdle         bool          // the counter of a name that nobody had for a TTL
	setsBack            bool          // the counter, at the first expiry after the eviction of a hold that was never renewed
	handsTokenOn        bool          // from waiter to waiter of one client
	blocks              uint64        // of tokens; another client that comes to the end of one gets the last again
	fifthPasses         bool          // of more than four waiters the second comes first, once
	leaseUntilClose     bool          // of a try that was refused
	dropsOnResume       bool          // everything, after a standstill
	networkRevives      bool          // a renewal that was kept back by the network writes its hold
	restartCounts       bool          // the counters begin anew after a restart with nothing
	flushCountsHeld     bool          // a flush deletes the counters of names that are held
	skipsThousand       bool          // a counter that follows a clock skips a thousand when it is lost
	promotionCounts     bool          // a replica that is promoted counts tokens on from what it has
	holdsAreConnections bool          // when the server ends all connections
	evictsCounter       bool          // with a hold that is in the way
	compactsHolds       bool
	diesWithLast        bool // a leader that is killed takes along what it answered last
	undoneForEver       bool // a claim that was undone while the server stood still has no lease
}

// resumes reports whether the count of an owner outlives a loss.
func (f *flaw) resumes(owner string) bool {
	return f.countResumes || f.resumesOwned && owner != ""
}
