package again

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Wherever the caller stands, the command finds the file from the root.
func TestCommandFindsTheFile(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err) // make needs one too
	}
	root := filepath.Join(t.TempDir(), "it's here")
	for _, dir := range []string{"out", "testbed/out", "bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"testbed/go.mod", "out/h.json", "testbed/out/h.json"} {
		if err := os.WriteFile(filepath.Join(root, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// go is a stand-in that does as told: it goes there, and looks for the file.
	stand := "#!/bin/sh\ncd \"$2\" && [ \"$5\" = -out ] && [ -d \"$6\" ] && [ -f \"$7\" ]\n"
	if err := os.WriteFile(filepath.Join(root, "bin", "go"), []byte(stand), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, dir string }{
		{".", "out"}, {"testbed", "../out"}, {"testbed", "out"}, {".", filepath.Join(root, "out")},
	} {
		t.Chdir(filepath.Join(root, c.from))
		command := Command(c.dir, "h.json")
		cmd := exec.CommandContext(t.Context(), sh, "-c", command)
		cmd.Dir, cmd.Env = root, []string{"PATH=" + filepath.Join(root, "bin")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("from %s, -out %s: %s: %v\n%s", c.from, c.dir, command, err, out)
		}
	}
}
