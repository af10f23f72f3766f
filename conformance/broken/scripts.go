package broken

import (
	"context"
	"errors"
	"time"

	"github.com/lockerlib/locker/conformance"
)

var _ conformance.ScriptFlusher = (*rig)(nil)

var errNoScript = errors.New("broken: the server does not know the script")

// A script is how a request is carried out. The server keeps those that it was
// sent, so that a request need only name one.
type script string

const (
	scriptClaim   script = "claim"
	scriptRenew   script = "renew"
	scriptRelease script = "release"
	scriptUndo    script = "undo"
	scriptToken   script = "token"
	scriptInspect script = "inspect"
	scriptBreak   script = "break"
)

// scripts are sent when a client is opened.
var scripts = []script{scriptClaim, scriptRenew, scriptRelease, scriptUndo, scriptToken, scriptInspect, scriptBreak}

// FlushScripts has the server forget them.
func (r *rig) FlushScripts(context.Context) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	clear(r.server.scripts)
	return nil
}

func (s *server) knows(sc script) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.scripts[sc]
}

func (s *server) load(list ...script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sc := range list {
		s.scripts[sc] = true
	}
}

// rpc is one request with a bound of its own, so that it is tried again. It
// names its script first, and sends it whole if the server does not know it.
func (c *client) rpc(ctx context.Context, limit time.Duration, sc script, f func(*server)) error {
	deadline := time.Now().Add(limit)
	known := false
	ask := func(s *server) {
		if known = s.knows(sc); known {
			f(s)
		}
	}
	err := c.link.call(ctx, deadline, c.server, ask)
	if c.flaw.resetIsLoss && sc == scriptRenew && errors.Is(err, errReset) {
		return err
	}
	if errors.Is(err, errBroken) && !c.flaw.givesUp {
		err = c.link.call(ctx, deadline, c.server, ask) // it was not sent, and there is a new connection
	}
	switch {
	case err != nil: // then it may be carried out yet, and known is not ours to read
		return err
	case known:
		return nil
	case c.flaw.scriptIsLoss && sc == scriptRenew:
		return errNoScript
	}
	return c.link.call(ctx, deadline, c.server, func(s *server) {
		s.load(sc)
		f(s)
	})
}

func scripted() []spoiledLock {
	return []spoiledLock{
		{"no script, no hold", "A server that has forgotten the script of renewal is taken to have forgotten the hold.", "S10c", "the hold lasts", flaw{scriptIsLoss: true}},
	}
}
