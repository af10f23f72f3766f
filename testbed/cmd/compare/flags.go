package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"github.com/lockerlib/locker/conformance"
)

const usage = `Compare runs the conformance suite over several backends and shows what each
of them guarantees.

Usage: compare [flags]
       compare OLD.json NEW.json    what changed from one report to another

  -backends LIST   which to compare, separated by commas; "own" and "foreign"
                   stand for all of ours and of others
                   (default %s)
                   own: %s
                   foreign: %s
  -all             everything in one report: the standard set and the fault set,
                   over our own backends and, without -backends, the foreign ones
  -foreign         compare other lock libraries instead, each as its documentation
                   uses it; what is not green in one of them does not change the
                   status
  -faults          run the checks that do things to servers (stop, kill, cut off,
                   fill), on servers that are started for each of them, instead of
                   the standard set; without -backends, over all our own
  -run REGEXP      only the checks whose ID matches, for instance '^X' or '^L1$'
  -seed N          repeat the choices of an earlier run (default: fresh ones)
  -parallel N      checks that run at once on each backend (default: as the suite
                   sees fit)
  -out DIR         where report.json, .html, .md and .xml (JUnit) go
                   (default ./compare-out)
  -guarantees FILE write the matrix of verdicts of our own backends there too, as
                   Markdown for version control, if all of them are green: without
                   figures, which differ from run to run. With -foreign, write the
                   whole run there, whatever it found
  -v               a line for every check, and where each server comes from

Servers are taken from LOCKER_TEST_ETCD and LOCKER_TEST_REDIS (host:port), or
started: in a container, from a local binary, or within this process. Those of
three members, with AOF and with a replica are always started. Without a
server, the backends that need it are left out, and without a Redis a stand-in
is used, which says nothing about Redis; the report says so. With CI=true, or where LOCKER_REQUIRE names it, that is a failure.

NO_COLOR=1 turns colours off.

Exit status: 0 all is green, 1 something is not (of two reports: the newer one is
worse), 2 wrong usage, 3 a server that
is required is missing or the report could not be written, 130 interrupted.
`

// options are the flags, checked.
type options struct {
	targets  []target
	sets     []conformance.Set // in the order in which they are run
	ids      []string          // nil: all
	seed     uint64
	parallel int
	out      string
	verbose  bool
	old, new string // reports to compare, instead of everything else

	guarantees string // a file, or ""
	foreign    bool   // of others alone
}

var errHelp = errors.New("help was asked for")

// parse reads the flags. What it has to say about them goes to w.
func parse(args []string, targets []target, w io.Writer) (options, error) {
	names := namesOf(targets)
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	backends := fs.String("backends", "", "")
	all := fs.Bool("all", false, "")
	foreign := fs.Bool("foreign", false, "")
	faults := fs.Bool("faults", false, "")
	run := fs.String("run", "", "")
	seed := fs.Uint64("seed", 0, "")
	parallel := fs.Int("parallel", 0, "")
	out := fs.String("out", "compare-out", "")
	guarantees := fs.String("guarantees", "", "")
	verbose := fs.Bool("v", false, "")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(w, usage, strings.Join(names.usual, ","), strings.Join(names.own, ","), strings.Join(names.foreign, ","))
		return options{}, errHelp
	}
	o := options{
		seed: *seed, parallel: *parallel, out: *out, verbose: *verbose, guarantees: *guarantees, foreign: *foreign,
		sets: []conformance.Set{conformance.Standard},
	}
	switch {
	case *all:
		o.sets = []conformance.Set{conformance.Standard, conformance.Faults}
	case *faults:
		o.sets = []conformance.Set{conformance.Faults}
	}
	switch {
	case *all && (*foreign || *faults):
		err = errors.Join(err, errors.New("-all has everything: leave -foreign and -faults out"))
	case *faults && *foreign:
		err = errors.Join(err, errors.New("-faults is for our own backends: leave -foreign out"))
	case *backends != "" && *foreign:
		err = errors.Join(err, errors.New("-foreign chooses the backends: leave -backends out"))
	case *backends != "":
	case *all:
		*backends = "own,foreign"
	case *foreign:
		*backends = "foreign"
	case *faults:
		*backends = "own"
	default:
		*backends = strings.Join(names.usual, ",")
	}
	switch {
	case err != nil:
	case fs.NArg() == 2 && fs.NFlag() == 0:
		o.old, o.new = fs.Arg(0), fs.Arg(1)
		return o, nil
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case *parallel < 0:
		err = errors.New("-parallel must not be negative")
	case *out == "":
		err = errors.New("-out must not be empty")
	default:
		if o.targets, err = choose(targets, names, *backends); err == nil {
			o.ids, err = matching(*run, o.sets)
		}
		for _, t := range o.targets {
			if *faults && t.faults == nil {
				err = errors.Join(err, fmt.Errorf("-faults: %s has no servers of its own", t.key))
			}
		}
	}
	if err != nil {
		return options{}, fmt.Errorf("%w\ntry: compare -h", err)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, nil
}

// names are the keys of the targets, and those that a group of them stands for.
type names struct{ all, usual, own, foreign []string }

func namesOf(targets []target) (n names) {
	for _, t := range targets {
		n.all = append(n.all, t.key)
		switch {
		case t.foreign:
			n.foreign = append(n.foreign, t.key)
			continue
		case !t.further:
			n.usual = append(n.usual, t.key)
		}
		n.own = append(n.own, t.key)
	}
	return n
}

func choose(targets []target, names names, list string) ([]target, error) {
	var keys []string
	for key := range strings.SplitSeq(list, ",") {
		switch key = strings.TrimSpace(key); key {
		case "own":
			keys = append(keys, names.own...)
		case "foreign":
			keys = append(keys, names.foreign...)
		default:
			keys = append(keys, key)
		}
	}
	var chosen []target
	for _, key := range keys {
		i := slices.Index(names.all, key)
		if i < 0 {
			return nil, fmt.Errorf("-backends: there is no %q; known: %s", key, strings.Join(names.all, ", "))
		}
		if !slices.ContainsFunc(chosen, func(t target) bool { return t.key == key }) {
			chosen = append(chosen, targets[i])
		}
	}
	return chosen, nil
}

func matching(expr string, sets []conformance.Set) ([]string, error) {
	if expr == "" {
		return nil, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var ids, all []string
	for _, c := range conformance.Checks(sets...) {
		all = append(all, c.ID)
		if re.MatchString(c.ID) {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("-run: no check matches %q; the checks are %s", expr, strings.Join(all, " "))
	}
	return ids, nil
}
