package rigs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

// A faultMaker makes rigs each of which has servers of its own, for checks that
// do things to servers. What kind depends on the check.
type faultMaker struct {
	profile conformance.Profile
	make    func(ctx context.Context, needs func(conformance.Power) bool) (conformance.Rig, error)
}

var _ conformance.Picky = (*faultMaker)(nil)

func (m *faultMaker) Profile() conformance.Profile { return m.profile }

func (m *faultMaker) Make(ctx context.Context) (conformance.Rig, error) {
	return m.MakeFor(ctx, conformance.Check{})
}

func (m *faultMaker) MakeFor(ctx context.Context, c conformance.Check) (conformance.Rig, error) {
	for _, p := range c.Needs {
		if m.profile.Without[p] != "" {
			return powerless{}, nil
		}
	}
	return m.make(ctx, func(p conformance.Power) bool { return slices.Contains(c.Needs, p) })
}

// powerless is the rig of a check that cannot be done on this backend: no
// server is started for it.
type powerless struct{}

func (powerless) Open(context.Context, ...locker.OpenOption) (locker.Locker, error) {
	return nil, errors.New("rigs: no server was started, because of a power that this backend cannot have")
}

func (powerless) Close() error { return nil }

// Close has nothing to do: each rig stops its own servers.
func (m *faultMaker) Close() error { return nil }

// owned is the server of one rig.
type owned struct{ server *servers.Server }

var (
	_ conformance.Pauser       = owned{}
	_ conformance.Restarter    = owned{}
	_ conformance.Disconnecter = owned{}
)

func (o owned) PauseServer(ctx context.Context) error      { return o.server.Pause(ctx) }
func (o owned) ResumeServer(ctx context.Context) error     { return o.server.Resume(ctx) }
func (o owned) DisconnectServer(ctx context.Context) error { return o.server.Disconnect(ctx) }
func (o owned) ReconnectServer(ctx context.Context) error  { return o.server.Reconnect(ctx) }
func (o owned) KillServer(ctx context.Context) error       { return o.server.Kill(ctx) }
func (o owned) RestartServer(ctx context.Context) error    { return o.server.Restart(ctx) }

// NoNetwork begins the reason why a rig goes without conformance.PowerNetwork
// that is not one of the backend but of the machine.
const NoNetwork = "no container can be taken off its network here"

// excuseNetwork notes the reason, unless real servers are required: then a check
// that cannot be done is a failure.
func excuseNetwork(without map[conformance.Power]string) {
	if err := servers.NoNetworks(); err != nil && servers.Required() == "" {
		without[conformance.PowerNetwork] = fmt.Sprintf("%s: %v", NoNetwork, err)
	}
}

// apart are the options of a server for a check with these needs.
func apart(needs func(conformance.Power) bool, args ...string) servers.Options {
	return servers.Options{Args: args, Apart: needs(conformance.PowerNetwork)}
}

// stopping closes what is given, in this order, and gives all errors.
func stopping(stops ...func() error) error {
	errs := make([]error, 0, len(stops))
	for _, stop := range stops {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// eventually asks until the answer is yes.
func eventually(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		ok, err := ask()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("rigs: %s: %w", what, context.Cause(ctx)), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
