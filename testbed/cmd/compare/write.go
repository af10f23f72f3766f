package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
	"github.com/lockerlib/locker/testbed/whole"
)

// write puts the report into dir, in every form, and returns where. A file is
// complete or, after an error, what it was before.
func write(dir string, r *conformance.Report) (paths []string, err error) {
	given := dir
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if paths, err = keepHistories(dir, given, r); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name   string
		render func(io.Writer, *conformance.Report) error
	}{
		{"report.json", report.Encode},
		{"report.html", report.HTML},
		{"report.md", func(w io.Writer, r *conformance.Report) error { return report.Markdown(w, r, report.MarkdownOptions{}) }},
		{"report.xml", report.JUnit},
	} {
		path := filepath.Join(dir, f.name)
		if err := whole.Write(path, func(w io.Writer) error { return f.render(w, r) }); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// read reads a report.
func read(path string) (*conformance.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	r, err := report.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
