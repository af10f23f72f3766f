// Package whole writes files that are never half written.
package whole

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Write writes a file that is complete or, after an error, what it was before.
func Write(path string, render func(io.Writer) error) error {
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
