package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
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
		if err := writeFile(path, func(w io.Writer) error { return f.render(w, r) }); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func writeFile(path string, render func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(render(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
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
