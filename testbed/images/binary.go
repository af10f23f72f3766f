package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// modulePath is where the etcd binary is built from: this module pins its
// version and has the checksums of all it needs.
const modulePath = "github.com/lockerlib/locker/testbed"

// EtcdBinary returns the path of a static etcd binary of EtcdVersion, built
// with the Go tool from the sources that this module pins. It is kept in the
// user's cache folder, so that only the first call takes its time (a minute
// with empty caches).
func EtcdBinary(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("images: no place for the etcd binary: %w", err)
	}
	dir := filepath.Join(cache, repository)
	binary := filepath.Join(dir, fmt.Sprintf("etcd-%s-%s-%s", EtcdVersion, runtime.GOOS, runtime.GOARCH))
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	module, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("images: %w", err)
	}
	// Built beside its place and renamed, so that nobody ever finds half of it.
	scratch, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", fmt.Errorf("images: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }() // at worst a file stays in the cache
	built := filepath.Join(scratch, "etcd")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", built, "go.etcd.io/etcd/server/v3")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("images: building etcd %s: %w\n%s", EtcdVersion, err, bytes.TrimSpace(out))
	}
	if err := os.Rename(built, binary); err != nil {
		return "", fmt.Errorf("images: %w", err)
	}
	return binary, nil
}

// moduleDir finds the sources of this module: where the working directory is
// in it, or in a module that requires it.
func moduleDir(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("images: the go tool is not in the PATH")
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modulePath)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	dir := strings.TrimSpace(string(out))
	if err == nil && dir != "" {
		return dir, nil
	}
	// Else where the compiler found this file, unless that was trimmed off.
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		dir := filepath.Dir(filepath.Dir(file))
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("images: the sources of " + modulePath + " were not found: run this in its folder")
}

// sharedLibraries returns the paths of what the dynamic linker loads for
// binary, the linker included.
func sharedLibraries(ctx context.Context, binary string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", binary).CombinedOutput()
	if err != nil {
		if bytes.Contains(out, []byte("not a dynamic executable")) {
			return nil, nil
		}
		return nil, fmt.Errorf("images: ldd %s: %w", binary, err)
	}
	var paths []string
	for line := range strings.Lines(string(out)) {
		// "libm.so.6 => /lib/libm.so.6 (0x…)", "/lib64/ld-linux.so.2 (0x…)", or
		// "linux-vdso.so.1 (0x…)", which the kernel brings.
		if _, after, found := strings.Cut(line, "=>"); found {
			line = after
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case strings.HasPrefix(fields[0], "/"):
			paths = append(paths, fields[0])
		case fields[0] == "not":
			return nil, fmt.Errorf("images: %s lacks a shared library: %s", binary, strings.TrimSpace(line))
		}
	}
	return paths, nil
}
