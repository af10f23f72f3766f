package conformance

import (
	"context"
	"time"

	"github.com/lockerlib/locker"
)

// A Maker makes a fresh Rig for one check. The suite closes it. Make is called
// concurrently when the suite runs checks in parallel; Rigs may share servers,
// but not names or prefixes: each Rig starts empty.
type Maker interface {
	// Profile says what is under test and what it claims.
	Profile() Profile
	// Make prepares the ground of one check.
	Make(ctx context.Context) (Rig, error)
}

// A Profile describes a backend to the suite.
type Profile struct {
	Backend string // for instance "etcd lease"
	Server  string // for instance "etcd 3.7.3 in a container"

	TTL   time.Duration // the shortest lease that is useful in a test; checks use multiples
	Slack time.Duration // S: how late after the TTL the server may notice a dead client

	FIFO   bool // waiters of several clients are served in order
	Bubble bool // runs in a testing/synctest bubble: no real server, no real time

	// Without names powers that this backend cannot have by its nature, and
	// why: a lock in memory has no other processes. Checks that need one are
	// optional for this backend. A power that is merely missing is not listed.
	Without map[Power]string

	// GivesWay names checks that this backend is known to fail, by ID, and why.
	// The suite then demands the counter-example: such a check that holds is a
	// stale claim.
	GivesWay map[string]string

	// BestEffort names checks, by ID, whose rule this backend mostly keeps and
	// does not promise, and why. Both outcomes are content with: one that holds,
	// and a counter-example, which gives way.
	BestEffort map[string]string

	// Withholds names what this backend does not offer at all, and why. The
	// checks about it then show that it is really not there, and that nobody
	// can take it to be; if it is there, they are stale claims. What is in none
	// of these declarations is offered: a check of it that fails is broken.
	Withholds map[Offer]string
}

// A Rig is one empty place on a server to which clients connect. What a rig
// can do beyond that is one of the small interfaces below; a check whose power
// is missing gets the verdict "not shown".
type Rig interface {
	// Open connects a further, independent client: own session, own
	// connections. The rig closes it at the latest when it is closed itself.
	// opts go to the Locker as they are.
	//
	// H2 finds the goroutines of a client by the pprof label that they inherit
	// from this call. One that belongs to the rig, such as a proxy's, must shed
	// it: pprof.SetGoroutineLabels(context.Background()).
	Open(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, error)
	Close() error
}

// Direction says which half of a link is meant.
type Direction int

// The halves of a link.
const (
	Up   Direction = 1 << iota // requests, client to server
	Down                       // answers and pushes, server to client
	Both = Up | Down
)

// A Linker can disturb the link of one client. The Lockers are those that Open
// returned.
type Linker interface {
	// Cut holds everything back in that direction, as a network that drops
	// packets does; connections stay open. Nothing that was held back arrives
	// after Heal, which may therefore have to end them.
	Cut(l locker.Locker, d Direction) error
	// Heal ends Cut and Delay.
	Heal(l locker.Locker) error
	// Delay lets everything in that direction arrive d later.
	Delay(l locker.Locker, dir Direction, d time.Duration) error
	// DropReplies lets the next n requests reach the server, and loses their
	// answers; a link on which answers cannot be told apart may cut instead
	// and heal by itself.
	DropReplies(l locker.Locker, n int) error
}

// A Crasher can end a client as a crash would: it sends nothing any more,
// neither releases nor renewals, and its connections are gone.
type Crasher interface {
	Crash(l locker.Locker) error
}

// An Evictor can remove the hold of a name on the server behind everybody's
// back, as an operator or an eviction would.
type Evictor interface {
	Evict(ctx context.Context, name string) error
}

// An Observer sees what is on the server.
type Observer interface {
	// Residue lists everything that the library left on the server for this
	// rig, one line each: keys, leases, watchers, subscriptions, connections.
	// The first word of a line is its kind; where something may be there, the
	// lines of a kind are counted, because names and IDs change. A client that
	// is connected is one line, however many connections its pool has now.
	//
	// Counters for tokens, and what keeps an undone claim away for a while, are
	// declared to stay: they are not residue, but see Stocktaker.
	Residue(ctx context.Context) ([]string, error)
	// Requests counts the requests that the clients of this rig have sent, those
	// by which they wait and renew included.
	Requests() int64
}

// A Spawner can run a client in a process of its own.
type Spawner interface {
	Spawn(ctx context.Context) (Process, error)
}

// A Process is a client in another operating system process.
type Process interface {
	locker.Locker
	Kill() error     // SIGKILL
	Stop() error     // SIGSTOP
	Continue() error // SIGCONT
}

// A Shared is a Rig whose clients can be given a client of the backend that the
// caller owns, to see that Close leaves it open.
type Shared interface {
	// OpenShared opens a Locker over a client that the rig owns; alive tells
	// whether that client still works.
	OpenShared(ctx context.Context, opts ...locker.OpenOption) (l locker.Locker, alive func(context.Context) error, err error)
}

// A Suspender can make it seem to one client that its machine was suspended for
// d and has just resumed: the clock that counts suspended time jumps by d, the
// timers of the process do not, and the server saw d pass or does not.
type Suspender interface {
	Suspend(l locker.Locker, d time.Duration) error
}

// A Planter can put data that does not belong to the library right beside, and
// where the server allows it in between, what the library keeps for this rig.
type Planter interface {
	// Plant puts it there; intact tells whether all of it is still there.
	Plant(ctx context.Context) (intact func(context.Context) error, err error)
}
