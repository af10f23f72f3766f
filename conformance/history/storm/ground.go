package storm

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker"
)

// A Ground is where a storm takes place: a server to which clients can be
// opened, and what can be done to them. A function that is nil is a power that
// is lacking; its faults do not happen.
type Ground struct {
	Open func(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, error)

	Cut         func(l locker.Locker, w Way) error
	Heal        func(l locker.Locker) error // ends Cut and Delay
	Delay       func(l locker.Locker, w Way, d time.Duration) error
	DropReplies func(l locker.Locker, n int) error
	Crash       func(l locker.Locker) error
	Evict       func(ctx context.Context, name string) error
	Suspend     func(l locker.Locker, d time.Duration) error
	// Spawn opens a client in a process of its own that can be stopped.
	Spawn func(ctx context.Context) (Process, error)
}

// A Process is a client in another process.
type Process interface {
	locker.Locker
	Stop() error
	Continue() error
}

// A Way is a direction of a link.
type Way int

// The ways.
const (
	Requests Way = iota
	Answers
	BothWays
)

var wayNames = [...]string{"requests", "answers", "both ways"}

// String says which.
func (w Way) String() string { return wayNames[w] }

// A Plan says how a storm is to be.
type Plan struct {
	Seed    uint64
	For     time.Duration // how long clients go on beginning something
	TTL     time.Duration // the lease that clients ask for
	Clients int           // default 5, at least 2
	Workers int           // goroutines of each client; default 2
	Names   int           // that they compete for; default 3
	Backend string        // for the record
	Server  string
	// Patience is how long clients may take, after the end, to return from
	// what they are in. Default: four TTLs and five seconds.
	Patience time.Duration
}

func (p Plan) complete() (Plan, error) {
	if p.For <= 0 || p.TTL <= 0 {
		return p, errors.New("storm: the plan has no length or no TTL")
	}
	p.Clients = max(orElse(p.Clients, 5), 2)
	p.Workers = max(orElse(p.Workers, 2), 1)
	p.Names = max(orElse(p.Names, 3), 1)
	if p.Patience == 0 {
		p.Patience = 4*p.TTL + 5*time.Second
	}
	return p, nil
}

func orElse(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}
