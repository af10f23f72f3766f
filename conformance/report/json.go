package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/lockerlib/locker/conformance"
)

// Encode writes r as indented JSON that Decode reads back. It sets nothing and
// checks everything that Decode checks, so that no report is written that
// cannot be read.
func Encode(w io.Writer, r *conformance.Report) error {
	if r.Version != conformance.ReportVersion {
		return fmt.Errorf("report: version %d, this program writes version %d", r.Version, conformance.ReportVersion)
	}
	if err := check(r); err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Decode reads what Encode wrote, and what it wrote in version 1, which lacks
// only what version 2 added. It is strict: an unknown field, another version, an unknown verdict, two results of one ID on one backend and
// anything after the report are errors, because a report that is read wrongly
// is worse than one that is refused.
func Decode(rd io.Reader) (*conformance.Report, error) {
	dec := json.NewDecoder(rd)
	dec.DisallowUnknownFields()
	r := new(conformance.Report)
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("report: something follows the report")
	}
	if r.Version == 1 {
		for _, b := range r.Backends {
			for _, res := range b.Results {
				if res.Recheck != "" || res.Void != nil {
					return nil, fmt.Errorf("report: check %q has a field that version 1 has not", res.ID)
				}
			}
		}
		r.Version = conformance.ReportVersion
	}
	if err := check(r); err != nil {
		return nil, err
	}
	return r, nil
}

func check(r *conformance.Report) error {
	if r.Version != conformance.ReportVersion {
		return fmt.Errorf("report: version %d, this program reads version %d", r.Version, conformance.ReportVersion)
	}
	backends := make(map[string]bool)
	for _, b := range r.Backends {
		if b.Backend == "" {
			return errors.New("report: a backend has no name")
		}
		if backends[b.Backend] {
			return fmt.Errorf("report: backend %q is there twice", b.Backend)
		}
		backends[b.Backend] = true
		ids := make(map[string]bool)
		for _, res := range b.Results {
			if err := checkResult(res); err != nil {
				return fmt.Errorf("report: backend %q: %w", b.Backend, err)
			}
			if ids[res.ID] {
				return fmt.Errorf("report: backend %q: check %q is there twice", b.Backend, res.ID)
			}
			ids[res.ID] = true
		}
	}
	return nil
}

func checkResult(res conformance.Result) error {
	if res.ID == "" {
		return errors.New("a result has no ID")
	}
	if _, ok := looks[res.Verdict]; !ok {
		return fmt.Errorf("check %q: unknown verdict %q", res.ID, res.Verdict)
	}
	for i, e := range res.Events {
		if e.At < 0 {
			return fmt.Errorf("check %q: event %d is before the beginning", res.ID, i)
		}
	}
	return nil
}
