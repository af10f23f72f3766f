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
