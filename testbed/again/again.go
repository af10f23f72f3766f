// Package again writes the commands that people copy from a report to judge a
// stored history again.
package again

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Command judges the history in a file of a directory again, when it is given
// to a shell at the root of the repository. The directory is as this program
// was given it, by a caller at the root or in the testbed: an absolute path may
// be one of a machine that the reader of the report does not have.
func Command(dir, file string) string {
	// "go -C testbed run" starts its program there.
	if _, err := os.Stat(filepath.Join("testbed", "go.mod")); err == nil && !filepath.IsAbs(dir) {
		dir = filepath.Join("..", dir)
	}
	return fmt.Sprintf("go -C testbed run ./cmd/recheck -out %s %s", word(dir), word(filepath.Join(dir, file)))
}

// word is s as one word of a POSIX shell.
func word(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
