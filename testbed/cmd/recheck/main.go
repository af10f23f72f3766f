// Command recheck judges stored histories again, and explains what it finds:
//
//	go run ./cmd/recheck history.json
//
// A history is what cmd/soak writes; "-" reads it from standard input.
//
// Exit status: 0 every judge found every property kept, 1 one of them did not,
// 2 wrong usage or no history, 4 nothing worse than a property that was not
// shown.
package main

import (
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
	exitNotShown = 4
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("recheck", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintln(stderr, "Usage: recheck [-limit 1m] FILE...\n\nJudges stored histories again. \"-\" is standard input.")
		fs.PrintDefaults()
	}
	limit := fs.Duration("limit", time.Minute, "how long each model may be searched for an order; after that it is not shown")
	if err := fs.Parse(args); err != nil {
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
		if o := tell(stdout, path, h, *limit); o == history.Illegal || worst == history.Legal {
			worst = o
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

// tell prints what the judges find, and returns the worst of it.
func tell(w io.Writer, path string, h *history.History, limit time.Duration) history.Outcome {
	fmt.Fprintf(w, "%s: %d holds and %d faults in %v on %s, TTL %v, seed %d\n",
		path, len(h.Holds), len(h.Faults), h.Took.Round(time.Millisecond), h.Backend, h.TTL, h.Seed)
	if h.About != "" {
		fmt.Fprintf(w, "%s\n", h.About)
	}
	findings := history.Judge(h, limit)
	for _, f := range findings {
		fmt.Fprintln(w, f)
	}
	worst := history.Legal
	for _, p := range history.Properties() {
		if o := history.Sum(p, findings).Outcome; o == history.Illegal || worst == history.Legal {
			worst = o
		}
	}
	fmt.Fprintf(w, "In sum: %s.\n", worst)
	return worst
}
