package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/history"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/testbed/whole"
)

// write puts the page and the drawing of a history into dir, under the name of
// its file, and returns where.
func write(dir, path string, h *history.History, findings []history.Finding) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if path == "-" {
		base = "history"
	}
	results := conformance.Recheck(h, findings, "go -C testbed run ./cmd/recheck "+path)
	files := []struct {
		name   string
		render func(io.Writer) error
	}{{base + ".html", func(w io.Writer) error { return report.History(w, h, results) }}}
	if worst := report.Worst(results); worst != nil && len(worst.Events) > 0 {
		files = append(files, struct {
			name   string
			render func(io.Writer) error
		}{base + ".svg", func(w io.Writer) error { return report.SVG(w, *worst) }})
	}
	var paths []string
	for _, f := range files {
		to := filepath.Join(dir, f.name)
		if err := whole.Write(to, f.render); err != nil {
			return paths, fmt.Errorf("%s: %w", to, err)
		}
		paths = append(paths, to)
	}
	return paths, nil
}
