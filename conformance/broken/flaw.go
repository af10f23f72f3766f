package broken

import (
	"time"

	"github.com/lockerlib/locker"
)

// A flaw says what is spoiled. The zero flaw is a right lock.
type flaw struct {
	// The server.
	releaseIgnored       bool
	tryGrants            bool
	wakesNobody          bool
	wakesTwo             bool
	wakesOnReleaseOnly   bool
	expiryNeverNoticed   bool
	waitersLiveForever   bool
	renewsByName         bool
	renewalRevives       bool
	renewalAdds          bool
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
	tokensAreData        bool // and go with it
	coarseTokens         bool // follow a clock that counts milliseconds
	forgetsOnRestart     bool
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
	noTokens          bool
	lenient           func(name string) (locker.Request, bool)
	cleans            func(string) string // owner and metadata

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
}

func (f *flaw) grantTTL(asked time.Duration) time.Duration {
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
