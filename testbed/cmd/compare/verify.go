package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
)

// What may run at once, on a machine of two cores: whatever is measured in time
// suffers from what else there is to do.
const (
	// columnsAtOnce is how many of our own backends are under the standard set,
	// whose checks mostly wait.
	columnsAtOnce = 3
	// faultsAtOnce is how many checks that start servers run at a time. Their
	// columns run one after the other.
	faultsAtOnce = 4
	// foreignAtOnce is how many checks run at a time on another library, and its
	// column runs alone: some wait by asking again and again, and what is said of
	// one of them must not be the work of another.
	foreignAtOnce = 4
)

// A column is one set of checks on one target.
type column struct {
	target
	set    conformance.Set
	maker  conformance.Maker
	result conformance.BackendReport
	err    error
}

// verify runs the suite over the targets whose servers were found, and says
// which columns of the report are other libraries.
func (c *comparison) verify(ctx context.Context, o options, found map[string]had) (rep *conformance.Report, foreign map[string]bool, err error) {
	rep = &conformance.Report{
		Version: conformance.ReportVersion, Time: time.Now().UTC(),
		Machine: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
	}
	columns, err := o.columns(rep, found)
	for _, col := range columns {
		if closer, ok := col.maker.(io.Closer); ok {
			defer func() { _ = closer.Close() }() // connections that were only read from
		}
	}
	if err != nil {
		return nil, nil, err
	}
	p := report.NewProgress(c.stderr, report.ProgressOptions{
		Live: c.stderr.live(), Colour: c.stderr.colour(), Verbose: o.verbose, Width: c.stderr.width,
	})
	defer p.Close()
	inTurn(columns, func(col *column) {
		if ctx.Err() == nil {
			col.result, col.err = conformance.Verify(ctx, col.maker, o.verifyOptions(col, p)...)
		}
	})
	var errs []error
	foreign = make(map[string]bool)
	for _, col := range columns {
		errs = append(errs, col.err)
		foreign[col.result.Backend] = col.foreign
		add(rep, col.result)
	}
	return rep, foreign, errors.Join(errs...)
}

// columns makes the columns in the order of the report, the sets of a target
// next to each other.
func (o options) columns(rep *conformance.Report, found map[string]had) (columns []*column, err error) {
	for _, t := range o.targets {
		h := found[t.server]
		if h.err != nil {
			rep.Notes = append(rep.Notes, fmt.Sprintf("%s was left out, there is no %s: %v", t.key, t.server, h.err))
			continue
		}
		if h.server != nil && h.server.IsStandIn() {
			rep.Notes = append(rep.Notes, fmt.Sprintf("%s ran on a stand-in, %s: it says nothing about %s.", t.key, h.server, t.server))
		}
		for _, set := range o.sets {
			col := &column{target: t, set: set}
			switch {
			case len(o.idsOf(set)) == 0:
				continue
			case set == conformance.Standard:
				if col.maker, err = t.maker(h.server); err != nil {
					return columns, fmt.Errorf("%s: %w", t.key, err)
				}
			case t.faults == nil:
				continue
			default:
				col.maker = t.faults()
			}
			columns = append(columns, col)
		}
	}
	return columns, nil
}

// inTurn calls verify for all columns: first those that compute, then those that
// mostly wait, a few at a time, then the others one by one.
func inTurn(columns []*column, verify func(*column)) {
	stages := []struct {
		atOnce int
		has    func(*column) bool
	}{
		{1, func(col *column) bool { return col.maker.Profile().Bubble }},
		{columnsAtOnce, func(col *column) bool { return !col.foreign && col.set == conformance.Standard }},
		{1, func(col *column) bool { return col.foreign }},
		{1, func(*column) bool { return true }},
	}
	done := make(map[*column]bool)
	for _, stage := range stages {
		slots := make(chan struct{}, stage.atOnce)
		var running sync.WaitGroup
		for _, col := range columns {
			if done[col] || !stage.has(col) {
				continue
			}
			done[col] = true
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				verify(col)
			})
		}
		running.Wait()
	}
}

// add puts the results of a column into the report, below those of another set
// on the same backend.
func add(rep *conformance.Report, b conformance.BackendReport) {
	i := slices.IndexFunc(rep.Backends, func(other conformance.BackendReport) bool { return other.Backend == b.Backend })
	if i < 0 {
		rep.Backends = append(rep.Backends, b)
		return
	}
	into := &rep.Backends[i]
	if into.Server != b.Server {
		into.Server += "; under faults: " + b.Server
	}
	into.Took += b.Took
	into.Results = append(into.Results, b.Results...)
}

// page is the part of the report that is written for version control: of other
// libraries or of our own backends.
func page(rep *conformance.Report, foreign map[string]bool, others bool) *conformance.Report {
	part := *rep
	part.Backends = slices.DeleteFunc(slices.Clone(rep.Backends), func(b conformance.BackendReport) bool { return foreign[b.Backend] != others })
	return &part
}

// has reports whether a set is run.
func (o options) has(set conformance.Set) bool { return slices.Contains(o.sets, set) }

// idsOf are the checks of a set that are run.
func (o options) idsOf(set conformance.Set) []string {
	var ids []string
	for _, check := range conformance.Checks(set) {
		if len(o.ids) == 0 || slices.Contains(o.ids, check.ID) {
			ids = append(ids, check.ID)
		}
	}
	return ids
}

// verifyOptions are the flags in the words of the suite.
func (o options) verifyOptions(col *column, p *report.Progress) []conformance.VerifyOption {
	total, flags, label := false, "", ""
	if col.set == conformance.Faults {
		flags = " -faults"
		if o.has(conformance.Standard) {
			label = " under faults"
		}
	}
	opts := []conformance.VerifyOption{
		conformance.WithSeed(o.seed),
		conformance.Only(o.idsOf(col.set)...),
		conformance.WithRepeat(func(id string, seed uint64) string {
			return fmt.Sprintf("go -C testbed run ./cmd/compare%s -backends %s -run '^%s$' -seed %d -out ../compare-again", flags, col.key, id, seed)
		}),
		conformance.WithProgress(func(e conformance.Progress) { // one call at a time
			name := e.Backend + label
			if !total {
				total = true
				p.Backend(name, e.Total)
			}
			if e.Result == nil {
				p.Begin(name, e.Check.ID)
			} else {
				p.End(name, *e.Result)
			}
		}),
	}
	switch {
	case o.parallel > 0:
		opts = append(opts, conformance.WithParallel(o.parallel))
	case col.maker.Profile().Bubble:
	case col.foreign:
		opts = append(opts, conformance.WithParallel(foreignAtOnce))
	case col.set == conformance.Faults && col.faultsAtOnce > 0:
		opts = append(opts, conformance.WithParallel(col.faultsAtOnce))
	case col.set == conformance.Faults:
		opts = append(opts, conformance.WithParallel(faultsAtOnce))
	}
	return opts
}
