package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A VerifyOption configures Verify.
type VerifyOption func(*plan)

// plan says which checks are run and how.
type plan struct {
	ids      []string
	sets     []Set
	parallel int
	seed     uint64
	timeout  time.Duration
	progress func(Progress)
	repeat   func(id string, seed uint64) string
	tt       *testing.T // of Run
	pulse    *pulse     // of the server meanwhile; nil where there is none
}

// Progress tells how far a run is. It is given to the function of WithProgress,
// which is called by one goroutine at a time: once with a nil Result when a
// check begins, and once with its Result when it has ended.
type Progress struct {
	Backend string
	Check   Check
	Result  *Result
	Ended   int // checks that have ended
	Total   int
}

// Only selects checks by ID. Without it, all are run.
func Only(ids ...string) VerifyOption { return func(p *plan) { p.ids = append(p.ids, ids...) } }

// WithParallel sets how many checks run at once. The default is the number of
// processors in a bubble, where checks compute, and 8 where they mostly wait
// for leases to run out.
func WithParallel(n int) VerifyOption { return func(p *plan) { p.parallel = n } }

// WithSeed fixes the seed of whatever a check leaves to chance. The default is
// a fresh one; it is in each Result.
func WithSeed(seed uint64) VerifyOption { return func(p *plan) { p.seed = seed } }

// WithTimeout bounds the whole run. Checks that it cuts off are not shown.
func WithTimeout(d time.Duration) VerifyOption { return func(p *plan) { p.timeout = d } }

// WithProgress has f called as checks begin and end.
func WithProgress(f func(Progress)) VerifyOption { return func(p *plan) { p.progress = f } }

// WithRepeat sets how the command is written that repeats one check.
func WithRepeat(f func(id string, seed uint64) string) VerifyOption {
	return func(p *plan) { p.repeat = f }
}

// Verify runs the suite without the testing package, and reports. The error is
// for a run that could not be done as asked (an unknown check, a ctx that
// ended); what the checks found is in the report only.
//
// It must not be called from inside of a testing/synctest bubble.
func Verify(ctx context.Context, m Maker, opts ...VerifyOption) (BackendReport, error) {
	p := plan{seed: rand.Uint64()}
	for _, o := range opts {
		o(&p)
	}
	return p.verify(ctx, m)
}

func (p *plan) verify(ctx context.Context, m Maker) (BackendReport, error) {
	profile := m.Profile()
	checks, err := pick(p.ids, p.sets)
	if err != nil {
		return BackendReport{}, err
	}
	if profile.TTL <= 0 {
		return BackendReport{}, fmt.Errorf("conformance: the profile of %q has no TTL", profile.Backend)
	}
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("the run has used up its %v", p.timeout))
		defer cancel()
	}

	p.pulse = feel(ctx, m)
	defer p.pulse.end()
	began := time.Now()
	results := make([]Result, len(checks))
	var (
		mu    sync.Mutex // guards ended and calls of progress
		ended int
	)
	tell := func(c Check, r *Result) {
		mu.Lock()
		defer mu.Unlock()
		if r != nil {
			ended++
		}
		if p.progress != nil {
			p.progress(Progress{Backend: profile.Backend, Check: c, Result: r, Ended: ended, Total: len(checks)})
		}
	}
	inParallel(len(checks), width(p.parallel, profile), func(i int) {
		c := checks[i]
		tell(c, nil)
		results[i] = p.one(ctx, m, c)
		tell(c, &results[i])
	})
	return BackendReport{
		Backend: profile.Backend, Server: profile.Server,
		TTL: profile.TTL, Slack: profile.Slack,
		Took: time.Since(began), Results: results,
	}, context.Cause(ctx)
}

func (p *plan) one(ctx context.Context, m Maker, c Check) Result {
	repeat := fmt.Sprintf("check %s of %q with seed %d", c.ID, m.Profile().Backend, p.seed)
	if p.repeat != nil {
		repeat = p.repeat(c.ID, p.seed)
	}
	if ctx.Err() != nil {
		return Result{
			ID: c.ID, Rule: c.Rule, Group: c.Group, Class: c.Class, Verdict: NotShown,
			Seen: "not begun: " + context.Cause(ctx).Error(), Seed: p.seed, Repeat: repeat,
		}
	}
	run := func() ruling { return execute(ctx, m, c, p.seed, repeat, p.tt) }
	if c.Set == Faults {
		return run().Result // a server that stands still may be what it is about
	}
	return p.pulse.undisturbed(ctx, m.Profile().TTL, run)
}

func width(asked int, p Profile) int {
	switch {
	case asked > 0:
		return asked
	case p.Bubble:
		return runtime.GOMAXPROCS(0)
	}
	return 8
}

// inParallel calls f(0) to f(n-1), at most width at a time, in this order.
func inParallel(n, width int, f func(i int)) {
	slots := make(chan struct{}, width)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	all.Wait()
}
