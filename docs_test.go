package locker_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The code in the guide to backends is that of the example, word by word, and
// the example is as short as the guide says.
func TestBackendGuideIsCompiled(t *testing.T) {
	var sources []string
	paths, err := filepath.Glob("examples/dirlock/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		sources = append(sources, readFile(t, path))
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readFile(t, "docs/writing-a-backend.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("the guide shows no code")
	}
	for _, b := range blocks {
		if !strings.Contains(strings.Join(sources, "\n"), b[1]) {
			t.Errorf("this is not in examples/dirlock:\n%s", b[1])
		}
	}
	if n := strings.Count(readFile(t, "examples/dirlock/dirlock.go"), "\n"); n >= 150 {
		t.Errorf("the example has %d lines, the guide says fewer than 150", n)
	}
}
