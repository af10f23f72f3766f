package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testdata = "../../../conformance/history/testdata"

func TestRecheck(t *testing.T) {
	legal := filepath.Join(testdata, "legal-handover.json")
	illegal := filepath.Join(testdata, "illegal-overlap.json")
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"version":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		// By hand, and so short that no lease ran out: not everything is shown.
		{"legal", []string{legal}, exitNotShown, "In sum: not shown."},
		{"illegal", []string{illegal}, exitIllegal, "C1 and C2 both believed"},
		{"both", []string{illegal, legal}, exitIllegal, "In sum: illegal."},
		{"standard input", []string{"-"}, exitIllegal, "In sum: illegal."},
		{"no file", nil, exitUsage, "Usage"},
		{"a missing file", []string{filepath.Join(t.TempDir(), "none")}, exitUsage, "no such file"},
		{"half a file", []string{broken}, exitUsage, "unexpected EOF"},
		{"help", []string{"-h"}, exitLegal, "Exit status"},
		{"drawn nowhere", []string{"-out", filepath.Join(broken, "below a file"), illegal}, exitCannot, "not a directory"},
		{"no limit", []string{"-limit", "0s", legal}, exitUsage, "Usage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdin, err := os.Open(illegal)
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			var out, errOut bytes.Buffer
			if status := run(test.args, stdin, &out, &errOut); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if all := out.String() + errOut.String(); !strings.Contains(all, test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, all)
			}
		})
	}
}

func TestDrawn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "drawn")
	var out, errOut bytes.Buffer
	if status := run([]string{"-out", dir, filepath.Join(testdata, "illegal-overlap.json")}, nil, &out, &errOut); status != exitIllegal {
		t.Fatalf("status %d: %s%s", status, &out, &errOut)
	}
	for _, name := range []string{"illegal-overlap.html", "illegal-overlap.svg"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(b, []byte("overlap 400 ms")) {
			t.Errorf("%s does not show the overlap: %v", name, err)
		}
		if !strings.Contains(out.String(), name) {
			t.Errorf("%s is not named:\n%s", name, &out)
		}
	}
}
