package conformance

import (
	"context"
	"time"

	"github.com/lockerlib/locker"
)

// The interfaces of this file are powers over the server itself. A rig that
// offers one has a server that nobody else uses. Whatever was done ends at the
// latest with the rig.

// A Picky is a Maker that prepares different ground for different checks: a
// cluster for the one that kills a leader, a server without a disk for the one
// that asks what is left then.
type Picky interface {
	MakeFor(ctx context.Context, c Check) (Rig, error)
}

// A Pauser can stop the server without ending it, as SIGSTOP does: connections
// stay open and nothing is answered.
type Pauser interface {
	PauseServer(ctx context.Context) error
	ResumeServer(ctx context.Context) error
}

// A Disconnecter can take the server off its network, and put it back at the
// same address. Meanwhile the server runs on; nothing reaches it, and nobody is
// told.
type Disconnecter interface {
	DisconnectServer(ctx context.Context) error
	ReconnectServer(ctx context.Context) error
}

// A Restarter can kill the server and start it again at the same address, with
// what it keeps: everything that it had confirmed, or else the backend declares
// that S3 gives way.
type Restarter interface {
	KillServer(ctx context.Context) error
	RestartServer(ctx context.Context) error
}

// A Forgetter can kill the server and start it again at the same address, with
// nothing of what it had.
type Forgetter interface {
	KillServer(ctx context.Context) error
	RestartEmpty(ctx context.Context) error
}

// A Cluster is a rig on a server of several members, counted from 0. Open
// connects a client that knows all of them.
type Cluster interface {
	Size() int
	// OpenAt is Open for a client that knows one member only.
	OpenAt(ctx context.Context, member int, opts ...locker.OpenOption) (locker.Locker, error)
	// Leader returns which member leads now, and waits until one does.
	Leader(ctx context.Context) (member int, err error)
	KillMember(ctx context.Context, member int) error
	RestartMember(ctx context.Context, member int) error
	// Isolate cuts a member off from the others; clients still reach it.
	Isolate(member int) error
	// Rejoin ends Isolate.
	Rejoin(member int) error
}

// A Failover is a rig on a primary and a replica of it behind one address.
type Failover interface {
	// CutReplication keeps from the replica what the primary writes from now
	// on. It returns when the replica has all that was written before.
	CutReplication(ctx context.Context) error
	// Promote makes the replica the primary, to which the address leads from
	// then on.
	Promote(ctx context.Context) error
}

// A Crowder can have the server evict a hold to make room for other data.
type Crowder interface {
	// Crowd writes foreign data until the hold of name was evicted, and fails
	// if it is not.
	Crowd(ctx context.Context, name string) error
}

// A Flusher can delete all data of the server.
type Flusher interface {
	FlushAll(ctx context.Context) error
}

// A ScriptFlusher can make the server forget the scripts that it was sent.
type ScriptFlusher interface {
	FlushScripts(ctx context.Context) error
}

// A ClientKiller can have the server end the connections of all clients.
type ClientKiller interface {
	KillClients(ctx context.Context) error
}

// A Compacter can make the server forget its history up to now. Before, it
// writes some that is foreign, so that there is something to forget.
type Compacter interface {
	Compact(ctx context.Context) error
}

// A Filler can exhaust the server's quota for data.
type Filler interface {
	// Fill writes foreign data until the server accepts no more.
	Fill(ctx context.Context) error
	// Empty deletes it, and has the server accept data again.
	Empty(ctx context.Context) error
}

// A Stepper can step the server's wall clock; d adds up.
type Stepper interface {
	StepServer(ctx context.Context, d time.Duration) error
}

// A WallStepper can step the wall clock of one client by d. Its other clocks go
// on as before.
type WallStepper interface {
	StepClient(l locker.Locker, d time.Duration) error
}

// A Stocktaker counts everything that the library keeps on the server for this
// rig, including what is declared to stay for a while.
type Stocktaker interface {
	Stock(ctx context.Context) (int, error)
}

// A Prefixer can open a client whose locks live under a prefix of its own, as
// two applications on one server have it. The prefixes of a rig are distinct
// from those of other rigs.
type Prefixer interface {
	OpenUnder(ctx context.Context, prefix string, opts ...locker.OpenOption) (locker.Locker, error)
}

// A LossCounter is a Linker that counts the answers that DropReplies has kept
// from a client. Without it, nothing shows that one was lost.
type LossCounter interface {
	Lost(l locker.Locker) (int64, error)
}

// ServerPowers lists the powers over the server itself, for the Without of a
// backend whose server is no program of its own.
func ServerPowers() []Power {
	return []Power{
		PowerPause, PowerNetwork, PowerRestart, PowerForget, PowerCluster, PowerFailover, PowerCrowd, PowerFlush,
		PowerFlushScripts, PowerKillClients, PowerCompact, PowerFill, PowerStep,
	}
}
