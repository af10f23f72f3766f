package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/conformance/history"
	"github.com/lockerlib/locker/testbed/again"
	"github.com/lockerlib/locker/testbed/whole"
)

// keepHistories writes what checks of histories judged, where the rule did not
// simply hold, and puts into the report how to judge it again. The directory as
// it was given is what that command names: an absolute one may be of a machine
// that the reader of the report does not have.
func keepHistories(dir, given string, r *conformance.Report) (paths []string, err error) {
	for i := range r.Backends {
		b := &r.Backends[i]
		for j := range b.Results {
			res := &b.Results[j]
			if res.History == nil {
				continue
			}
			name := fmt.Sprintf("history-%s-%s.json", fileName(b.Backend), fileName(res.ID))
			path := filepath.Join(dir, name)
			if err := whole.Write(path, func(w io.Writer) error { return history.Encode(w, res.History) }); err != nil {
				return nil, err
			}
			res.Recheck = again.Command(given, name)
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// fileName makes a part of a file's name of the name of a backend or a check.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.':
			return r
		}
		return '-'
	}, s)
}
