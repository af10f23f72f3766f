package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/testbed/servers"
	"github.com/lockerlib/locker/testbed/whole"
)

// A comparison is the program without its process: what it writes to, and where
// its backends come from.
type comparison struct {
	stdout, stderr stream
	targets        []target
	sources        map[string]source
	stop           func() error // stops what the sources started
}

// run does everything and returns the exit status.
func (c *comparison) run(ctx context.Context, args []string) (status int) {
	o, err := parse(args, c.targets, c.stdout)
	switch {
	case errors.Is(err, errHelp):
		return exitOK
	case err != nil:
		c.say("%v", err)
		return exitUsage
	case o.old != "":
		return c.changes(o)
	}
	defer func() {
		if err := c.stop(); err != nil {
			c.say("stopping the servers: %v", err)
			status = max(status, exitCannot)
		}
	}()

	found := c.start(ctx, o)
	rep, foreign, err := c.verify(ctx, o, found)
	if ctx.Err() != nil {
		c.say("%v; no report was written", context.Cause(ctx))
		return exitInterrupted
	}
	if err != nil {
		c.say("%v", err)
		return exitCannot
	}
	paths, err := write(o.out, rep)
	if err == nil && o.guarantees != "" && ownOK(rep, foreign) { // else it would be a page to be mended
		err = whole.Write(o.guarantees, func(w io.Writer) error { return guarantees(w, page(rep, foreign, o.foreign), o.foreign) })
		paths = append(paths, o.guarantees)
	}
	if err != nil {
		c.say("%v", err)
		return exitCannot
	}
	fmt.Fprintln(c.stdout)
	if err := report.Text(c.stdout, rep, report.TextOptions{Width: c.stdout.width, Colour: c.stdout.colour()}); err != nil {
		c.say("%v", err)
		return exitCannot
	}
	fmt.Fprintf(c.stdout, "\nSeed %d. The evidence is in\n", o.seed)
	for _, p := range paths {
		fmt.Fprintln(c.stdout, "  "+p)
	}
	if err := required(o, c.targets, found); err != nil {
		c.say("%v", err)
		return exitCannot
	}
	if !ownOK(rep, foreign) {
		return exitNotGreen
	}
	return exitOK
}

// changes compares two reports that were written before.
func (c *comparison) changes(o options) int {
	var reports []*conformance.Report
	for _, path := range []string{o.old, o.new} {
		r, err := read(path)
		if err != nil {
			c.say("%v", err)
			return exitUsage
		}
		reports = append(reports, r)
	}
	worse, err := report.WriteChanges(c.stdout, report.Changes(reports[0], reports[1]))
	switch {
	case err != nil:
		c.say("%v", err)
		return exitCannot
	case worse:
		return exitNotGreen
	}
	return exitOK
}

// ownOK reports whether our own backends are green, as far as any were run.
// Those of others are shown as they are.
func ownOK(rep *conformance.Report, foreign map[string]bool) bool {
	own := page(rep, foreign, false)
	if len(own.Backends) == 0 && len(rep.Backends) > 0 {
		return true
	}
	return report.OK(own)
}

func (c *comparison) say(format string, args ...any) {
	fmt.Fprintf(c.stderr, "compare: "+format+"\n", args...)
}

// start gets the servers. Without -v, only what was taken is told.
func (c *comparison) start(ctx context.Context, o options) map[string]had {
	var log io.Writer = c.stderr
	if !o.verbose {
		log = io.Discard
	}
	began := time.Now()
	names := needed(o)
	if len(names) > 0 {
		c.say("getting %s …", strings.Join(names, " and "))
	}
	found := start(ctx, names, c.sources, log)
	if ctx.Err() != nil {
		return found
	}
	for _, name := range names {
		if h := found[name]; h.err != nil {
			c.say("no %s, so its backends are left out: %v", name, h.err)
		} else {
			c.say("using %s (after %s)", h.server, time.Since(began).Round(100*time.Millisecond))
		}
	}
	return found
}

// needed lists the servers that the run needs. The checks of the fault set
// start their own.
func needed(o options) []string {
	var names []string
	for _, t := range o.targets {
		if t.server != "" && o.has(conformance.Standard) && !slices.Contains(names, t.server) {
			names = append(names, t.server)
		}
	}
	return names
}

// required returns an error if a server is not what the environment demands.
func required(o options, all []target, found map[string]had) error {
	if servers.Required() == "" {
		return nil
	}
	var used []*servers.Server
	names := needed(o)
	for _, name := range names {
		h := found[name]
		if h.err != nil {
			return fmt.Errorf("a real %s is required (%s or CI): %w", name, servers.EnvRequire, h.err)
		}
		if h.server.IsStandIn() {
			return fmt.Errorf("a real %s is required (%s or CI), and %s is a stand-in", name, servers.EnvRequire, h.server)
		}
		used = append(used, h.server)
	}
	for _, t := range all {
		if t.server != "" && !t.further && !slices.Contains(names, t.server) {
			return nil // fewer backends were asked for
		}
	}
	return servers.Check(used...)
}
