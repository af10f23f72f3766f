// Command recheck judges stored histories again, and explains what it finds:
//
//	go run ./cmd/recheck history.json
//
// A history is what cmd/soak writes, and cmd/compare for a check of a history
// that is not green; "-" reads it from standard input. With -out, each history
// is drawn too: its timelines and findings as a page, and the worst of them as
// an SVG, under the name of its file.
//
// Exit status: 0 every judge found every property kept, 1 one of them did not,
// 2 wrong usage or no history, 3 a drawing could not be written, 4 nothing worse
// than a property that was not shown.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lockerlib/locker/conformance/history"
)

const (
	exitLegal    = 0
	exitIllegal  = 1
	exitUsage    = 2
	exitCannot   = 3
	exitNotShown = 4
)

const usage = `Usage: recheck [-limit 1m] [-out DIRECTORY] FILE...

Judges stored histories again, and explains what it finds. "-" is standard input.

Exit status: 0 every property was kept, 1 one was not, 2 wrong usage or no
history, 3 a drawing could not be written, 4 some property was not shown.

`

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("recheck", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), usage)
		fs.PrintDefaults()
	}
	limit := fs.Duration("limit", time.Minute, "how long each model may be searched for an order; after that it is not shown")
	out := fs.String("out", "", "write the `directory`/FILE.html and .svg of each history; empty: none")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitLegal
	case err != nil:
		return exitUsage
	}
	if fs.NArg() == 0 || *limit <= 0 {
		fs.Usage()
		return exitUsage
	}
	worst := history.Legal
	for _, path := range fs.Args() {
		h, err := read(path, stdin)
		if err != nil {
			fmt.Fprintf(stderr, "recheck: %s: %v\n", path, err)
			return exitUsage
		}
		findings := judge(stdout, path, h, *limit)
		if o := sum(findings); o == history.Illegal || worst == history.Legal {
			worst = o
		}
		fmt.Fprintf(stdout, "In sum: %s.\n", sum(findings))
		if *out == "" {
			continue
		}
		paths, err := write(*out, path, h, findings)
		for _, p := range paths {
			fmt.Fprintln(stdout, "  "+p)
		}
		if err != nil {
			fmt.Fprintf(stderr, "recheck: %v\n", err)
			return exitCannot
		}
	}
	return map[history.Outcome]int{history.Legal: exitLegal, history.Illegal: exitIllegal, history.Unknown: exitNotShown}[worst]
}

func read(path string, stdin io.Reader) (*history.History, error) {
	if path == "-" {
		return history.Decode(stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return history.Decode(f)
}

// judge prints what each judge finds, as soon as it has found it: porcupine may
// take long.
func judge(w io.Writer, path string, h *history.History, limit time.Duration) []history.Finding {
	fmt.Fprintf(w, "%s: %d holds and %d faults in %v on %s, TTL %v, seed %d\n",
		path, len(h.Holds), len(h.Faults), h.Took.Round(time.Millisecond), h.Backend, h.TTL, h.Seed)
	if h.About != "" {
		fmt.Fprintf(w, "%s\n", h.About)
	}
	var findings []history.Finding
	for f := range history.Judges(h, limit) {
		findings = append(findings, f)
		fmt.Fprintln(w, f)
	}
	return findings
}

// sum is the worst of the outcomes of all properties.
func sum(findings []history.Finding) history.Outcome {
	worst := history.Legal
	for _, p := range history.Properties() {
		if o := history.Sum(p, findings).Outcome; o == history.Illegal || worst == history.Legal {
			worst = o
		}
	}
	return worst
}
