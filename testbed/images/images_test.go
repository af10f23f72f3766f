package images

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// The version that is said is the one that is built, tested and pulled.
func TestVersions(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "go.etcd.io/etcd/server/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "v"+EtcdVersion {
		t.Errorf("go.mod has etcd %s, EtcdVersion is %s", got, EtcdVersion)
	}
	script, err := os.ReadFile("../deps.sh")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(script, []byte("redis_image="+RedisPublic[0]+" ")) {
		t.Errorf("deps.sh names another image than %s", RedisPublic[0])
	}
}

func TestEtcdBinary(t *testing.T) {
	binary, err := EtcdBinary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "--version").Output()
	if err != nil || !bytes.Contains(out, []byte("etcd Version: "+EtcdVersion+"\n")) {
		t.Errorf("%s --version: %v\n%s", binary, err, out)
	}
	again, err := EtcdBinary(t.Context())
	if err != nil || again != binary {
		t.Errorf("the second call gave %s, %v", again, err)
	}
}

// An image that was not to be had is not asked for again, and the first
// question is answered within its bound.
func TestPublicRemembersARefusal(t *testing.T) {
	d := docker(t)
	const ref = "127.0.0.1:1/nobody/listens:here"
	for range 2 {
		began := time.Now()
		if _, err := Public(t.Context(), d, []string{ref}); err == nil || !strings.Contains(err.Error(), ref) {
			t.Errorf("Public: %v", err)
		}
		if took := time.Since(began); took > pullSilence+5*time.Second {
			t.Errorf("it took %v", took)
		}
	}
	if _, known := refused.Load(ref); !known {
		t.Error("the refusal was not remembered")
	}
}

// The same content makes the same image, other content another.
func TestBuildIsByContent(t *testing.T) {
	d := docker(t)
	file := filepath.Join(t.TempDir(), "program")
	var refs []string
	for _, content := range []string{"one", "one", "two"} {
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		ref, err := build(t.Context(), d, "test", map[string]string{"/deep/down/program": file}, "/deep/down/program")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.ImageRemove(context.Background(), ref, client.ImageRemoveOptions{Force: true}) })
		if !Present(t.Context(), d, ref) {
			t.Errorf("%s is not there", ref)
		}
		refs = append(refs, ref)
	}
	if refs[0] != refs[1] || refs[1] == refs[2] {
		t.Errorf("images %v", refs)
	}
}

func docker(t *testing.T) *client.Client {
	t.Helper()
	d, err := Docker(t.Context())
	if err != nil {
		t.Skipf("no Docker on this machine: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
