package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/testbed/servers"
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
		err = writeFile(o.guarantees, func(w io.Writer) error { return guarantees(w, rep, o.foreign) })
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
	own := *rep
	own.Backends = slices.DeleteFunc(slices.Clone(rep.Backends), func(b conformance.BackendReport) bool { return foreign[b.Backend] })
	if len(own.Backends) == 0 && len(rep.Backends) > 0 {
		return true
	}
	return report.OK(&own)
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
	names := needed(o.targets)
	if len(names) > 0 {
		c.say("getting %s …", strings.Join(names, " and "))
	}
	found := start(ctx, o.targets, c.sources, log)
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

// needed lists the servers that the targets need.
func needed(targets []target) []string {
	var names []string
	for _, t := range targets {
		if t.server != "" && !slices.Contains(names, t.server) {
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
	for _, name := range needed(o.targets) {
		h := found[name]
		if h.err != nil {
			return fmt.Errorf("a real %s is required (%s or CI): %w", name, servers.EnvRequire, h.err)
		}
		if h.server.IsStandIn() {
			return fmt.Errorf("a real %s is required (%s or CI), and %s is a stand-in", name, servers.EnvRequire, h.server)
		}
		used = append(used, h.server)
	}
	if len(used) < len(needed(all)) {
		return nil // fewer backends were asked for
	}
	return servers.Check(used...)
}

// verify runs the suite over the targets whose servers were found: first those
// that compute, then, all at once, those that mostly wait. It also says which
// of them are other libraries.
func (c *comparison) verify(ctx context.Context, o options, found map[string]had) (rep *conformance.Report, foreign map[string]bool, err error) {
	rep = &conformance.Report{
		Version: conformance.ReportVersion, Time: time.Now().UTC(),
		Machine: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
	}
	type column struct {
		target
		maker  conformance.Maker
		result conformance.BackendReport
		err    error
	}
	var columns []*column
	for _, t := range o.targets {
		h := found[t.server]
		if t.server != "" && h.err != nil {
			rep.Notes = append(rep.Notes, fmt.Sprintf("%s was left out, there is no %s: %v", t.key, t.server, h.err))
			continue
		}
		if h.server != nil && h.server.IsStandIn() {
			rep.Notes = append(rep.Notes, fmt.Sprintf("%s ran on a stand-in, %s: it says nothing about %s.", t.key, h.server, t.server))
		}
		m, err := t.maker(h.server)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", t.key, err)
		}
		if closer, ok := m.(io.Closer); ok {
			defer func() { _ = closer.Close() }() // connections that were only read from
		}
		columns = append(columns, &column{target: t, maker: m})
	}

	p := report.NewProgress(c.stderr, report.ProgressOptions{
		Live: c.stderr.live(), Colour: c.stderr.colour(), Verbose: o.verbose, Width: c.stderr.width,
	})
	defer p.Close()
	verify := func(col *column) {
		col.result, col.err = conformance.Verify(ctx, col.maker, o.verifyOptions(col.key, p)...)
	}
	var waiting sync.WaitGroup
	for _, col := range columns {
		if col.maker.Profile().Bubble {
			verify(col)
		}
	}
	for _, col := range columns {
		if !col.maker.Profile().Bubble {
			waiting.Go(func() { verify(col) })
			if o.faults {
				waiting.Wait() // what each starts is enough for a machine
			}
		}
	}
	waiting.Wait()
	var errs []error
	foreign = make(map[string]bool)
	for _, col := range columns {
		errs = append(errs, col.err)
		rep.Backends = append(rep.Backends, col.result)
		foreign[col.result.Backend] = col.foreign
	}
	return rep, foreign, errors.Join(errs...)
}

// faultsAtOnce is how many checks that start servers run at a time.
const faultsAtOnce = 4

// verifyOptions are the flags in the words of the suite.
func (o options) verifyOptions(key string, p *report.Progress) []conformance.VerifyOption {
	total := false
	opts := []conformance.VerifyOption{
		conformance.WithSeed(o.seed),
		conformance.WithSet(o.set()),
		conformance.WithRepeat(func(id string, seed uint64) string {
			flags := ""
			if o.faults {
				flags = " -faults"
			}
			return fmt.Sprintf("go -C testbed run ./cmd/compare%s -backends %s -run '^%s$' -seed %d -out ../compare-again", flags, key, id, seed)
		}),
		conformance.WithProgress(func(e conformance.Progress) { // one call at a time
			if !total {
				total = true
				p.Backend(e.Backend, e.Total)
			}
			if e.Result == nil {
				p.Begin(e.Backend, e.Check.ID)
			} else {
				p.End(e.Backend, *e.Result)
			}
		}),
	}
	switch {
	case o.parallel > 0:
		opts = append(opts, conformance.WithParallel(o.parallel))
	case o.faults:
		opts = append(opts, conformance.WithParallel(faultsAtOnce))
	}
	if len(o.ids) > 0 {
		opts = append(opts, conformance.Only(o.ids...))
	}
	return opts
}
