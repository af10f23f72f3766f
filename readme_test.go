package locker_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The code in the README is that of compiled examples, word by word.
func TestReadmeCodeIsCompiled(t *testing.T) {
	paths, err := filepath.Glob("examples/*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, path := range append(paths, "example_test.go") {
		sources = append(sources, readFile(t, path))
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readFile(t, "README.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no code")
	}
	for _, b := range blocks {
		found := false
		for _, s := range sources {
			found = found || strings.Contains(s, b[1])
		}
		if !found {
			t.Errorf("this is in no example:\n%s", b[1])
		}
		if n := strings.Count(b[1], "\n"); n > 25 {
			t.Errorf("%d lines of code are more than 25:\n%s", n, b[1])
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(readFile(t, "README.md"), "\n"); n > 150 {
		t.Errorf("the README has %d lines, at most 150 are allowed", n)
	}
}

// What the documents lead to is there: files, and commands of make.
func TestDocumentsLeadSomewhere(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile := readFile(t, "Makefile")
	for _, doc := range append(docs, "README.md", "CHANGELOG.md", "CONTRIBUTING.md") {
		text := readFile(t, doc)
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), link[1])); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
		for _, command := range regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+command[1]+":") {
				t.Errorf("%s: there is no %q", doc, "make "+command[1])
			}
		}
	}
}
