package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// Repository of the images that are built here.
const repository = "locker-testbed"

// Etcd makes an image that has nothing in it but the etcd binary at binary,
// which must be linked statically. The image is tagged by its content and built
// once.
func Etcd(ctx context.Context, d *client.Client, binary string) (ref string, err error) {
	return build(ctx, d, "etcd", map[string]string{"/etcd": binary}, "/etcd")
}

// Redis makes an image of the redis-server at binary and the shared libraries
// that it needs. The image is tagged by its content and built once.
func Redis(ctx context.Context, d *client.Client, binary string) (ref string, err error) {
	file, err := filepath.EvalSymlinks(binary)
	if err != nil {
		return "", fmt.Errorf("images: %w", err)
	}
	libraries, err := sharedLibraries(ctx, file)
	if err != nil {
		return "", err
	}
	// The name matters: some distributions link all of Redis' programs to one
	// file, which looks at how it was called.
	files := map[string]string{"/redis-server": file}
	for _, l := range libraries {
		files[l] = l
	}
	return build(ctx, d, "redis", files, "/redis-server")
}

// build imports files (path in the image to path here) as an image of one
// layer. An import needs no builder and no base image, hence no registry.
func build(ctx context.Context, d *client.Client, name string, files map[string]string, entrypoint string) (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("images: binaries of %s do not run in a Linux container", runtime.GOOS)
	}
	digest, err := digestOf(files)
	if err != nil {
		return "", err
	}
	ref := repository + "/" + name + ":" + digest[:16]
	if Present(ctx, d, ref) {
		return ref, nil
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(pack(writer, files)) }()
	defer func() { _ = reader.Close() }() // ends pack if the daemon stops reading
	answer, err := d.ImageImport(ctx,
		client.ImageImportSource{Source: reader, SourceName: "-"}, ref,
		client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["` + entrypoint + `"]`}})
	if err != nil {
		return "", fmt.Errorf("images: building %s: %w", ref, err)
	}
	defer func() { _ = answer.Close() }() // read to its end
	if err := importError(answer); err != nil {
		return "", fmt.Errorf("images: building %s: %w", ref, err)
	}
	return ref, nil
}

func importError(answer io.Reader) error {
	for dec := json.NewDecoder(answer); ; {
		var message struct{ Error string }
		switch err := dec.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return errors.New(message.Error)
		}
	}
}

func digestOf(files map[string]string) (string, error) {
	sum := sha256.New()
	for _, name := range sorted(files) {
		content, err := os.ReadFile(files[name])
		if err != nil {
			return "", fmt.Errorf("images: %w", err)
		}
		each := sha256.Sum256(content)
		fmt.Fprintf(sum, "%s %x\n", name, each)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// pack writes the root file system: the files, their folders, and an empty /tmp.
func pack(to io.Writer, files map[string]string) error {
	w := tar.NewWriter(to)
	made := map[string]bool{"/": true}
	var folder func(dir string, mode fs.FileMode) error
	folder = func(dir string, mode fs.FileMode) error {
		if made[dir] {
			return nil
		}
		if err := folder(path.Dir(dir), 0o755); err != nil {
			return err
		}
		made[dir] = true
		return w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/",
			Mode: int64(mode), ModTime: time.Unix(0, 0),
		})
	}
	for _, dir := range []string{"/tmp", "/data"} {
		if err := folder(dir, 0o777); err != nil {
			return err
		}
	}
	for _, name := range sorted(files) {
		if err := folder(path.Dir(name), 0o755); err != nil {
			return err
		}
		content, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		err = w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "/"),
			Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(0, 0),
		})
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
			return err
		}
	}
	return w.Close()
}

func sorted(files map[string]string) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
