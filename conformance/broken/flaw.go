package broken

import (
	"time"

	"github.com/lockerlib/locker"
)

// A flaw says what is spoiled. The zero flaw is a right lock.
type flaw struct {
	narrow

	// The server.
	releaseIgnored       bool
	tryGrants            bool
	wakesNobody          bool
	wakesTwo             bool
	wakesOnReleaseOnly   bool
	expiryNeverNoticed   bool
	waitersLiveForever   bool
	waitingRenewsNothing bool
	renewsByName         bool
	renewalRevives       bool
	renewalAdds          bool
	renewsOne            bool // of the holds of a client
	releasesByName       bool
	releasesByClient     bool
	releasesByPrefix     bool
	breaksAny            bool
	lifo                 bool
	favours              bool
	cancelReorders       bool
	keyLeft              bool
	leaseLeftByTry       bool
	tokenInKey           bool
	tokenPerClient       bool
	tokenPerStay         bool
	tokenResetByEviction bool
	handsDown            bool // a client's waiters come before those of others while it holds
	counterStays         bool
	tokensCounted        bool // and no clock looked at
	coarseTokens         bool // follow a clock that counts milliseconds
	tokenIsTime          bool
	forgetsOnRestart     bool
	releaseWrites        bool // and needs room
	renewalWrites        bool
	feedStopsSilently    bool // when its link was away
	servesAlone          bool // a member that is cut off goes on by itself
	quorumOfOne          bool
	oldLeaderRevokes     bool                                    // when it is back, what ran out by its own clock
	lazyReplicas         bool                                    // are told of what was answered before
	queueInLeader        bool                                    // and is gone with it
	ttl                  func(asked time.Duration) time.Duration // what the server keeps
	leaseOf              func(ttl time.Duration) time.Duration   // when it lets go
	token                func(name string, c *claim, next uint64) uint64
	name                 func(string) string

	stateInProcess bool
	renewedOutside bool
	sweepsPrefix   bool

	// Acquire.
	tryNeither        bool
	tryWaits          bool
	tryFails          int // every nth
	polls             bool
	onlyPushed        bool // waits for the push and looks at nothing else
	stuckWhenGone     bool
	ignoresCancel     bool
	acquiresUnderDead bool
	hidesContext      bool
	heldForTimeout    bool
	ghost             bool
	leavesQueueOnly   bool
	ignoresPatience   bool
	tellsLost         bool
	freshIDs          bool
	localMutex        bool
	noCheckAfterWait  bool
	deadlineFromReply bool
	tokenAfterGrant   bool
	shortName         bool
	joinsPrefix       bool
	fullIsHeld        bool
	readsLocally      bool // what the next member believes
	ignoresEndOfFeed  bool
	noTokens          bool
	lenient           func(name string) (locker.Request, bool)
	cleans            func(string) string // owner and metadata
	keepsConnection   bool                // even when it is silent
	believesPush      bool

	// A hold.
	bornClosed         bool
	renewsUnderAcquire bool
	noRenewal          bool
	renewsOn           bool // after Release
	givesUp            bool
	anyAnswerRenews    bool
	noDeadline         bool
	deadlineSlips      time.Duration
	monotonicOnly      bool
	wallClock          bool
	oneInFlight        bool
	errorRenews        bool // when a cluster says that it has no leader
	scriptIsLoss       bool // if the server does not know that of renewal
	trustsTimers       bool
	freshDone          bool
	closesTwice        bool
	errChanges         bool
	echoesTTL          bool
	tokenMoves         bool

	// Release and re-entry.
	releaseSaysLost bool
	releaseNeedsCtx bool
	secondIsSilent  bool
	secondIsSent    bool
	resumesRenewal  bool
	retriesByClient bool
	firstFreesAll   bool
	oneTooMany      bool
	anyoneEnters    bool
	identityEnters  bool
	sharesByClient  bool
	tokenPerLevel   bool
	ttlPerLevel     bool
	failedCounts    bool
	newestOnly      bool
	leasePerLevel   bool
	countResumes    bool

	// Close.
	closeKeeps       bool
	closeLeavesWaits bool
	closeTwicePanics bool
	closesShared     bool
	leaksGoroutine   bool
	closeIsRelease   bool

	// What others are told, and what is left to chance.
	listsOnePage    bool
	listsByPattern  bool
	blamesWaiter    bool // instead of the holder
	countsHolder    bool // among those who wait
	hidesBreak      bool
	takesAnyOption  bool // when it is opened
	renewsLate      bool // what has run out up to half a TTL ago and was not cleared
	undoesConfirmed bool // only
}

// floor is the shortest lease that a right server keeps. Below it, whatever is
// done once per lease would be done all the time.
const floor = time.Millisecond

func (f *flaw) grantTTL(asked time.Duration) time.Duration {
	if f.ttl == nil && asked > 0 {
		return max(asked, floor)
	}
	if f.ttl == nil {
		return asked
	}
	return f.ttl(asked)
}

func (f *flaw) lease(ttl time.Duration) time.Duration {
	if f.leaseOf == nil {
		return ttl
	}
	return f.leaseOf(ttl)
}

func (f *flaw) mapName(name string) string {
	if f.name == nil {
		return name
	}
	return f.name(name)
}
