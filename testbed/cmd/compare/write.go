package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/report"
)

// write puts the report into dir, in both forms, and returns where. A file is
// complete or, after an error, what it was before.
func write(dir string, r *conformance.Report) (paths []string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name   string
		render func(io.Writer, *conformance.Report) error
	}{{"report.json", report.Encode}, {"report.html", report.HTML}} {
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
