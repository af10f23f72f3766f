package servers

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// A SteppedRedis is a Redis whose wall clock can be stepped.
type SteppedRedis struct {
	*Server
	file string // has the offset of its clock
}

//go:embed steptime/steptime.c
var stepTime []byte

// OwnSteppedRedis starts a Redis as a process of this machine, with a library
// before it that tells the time. That needs Linux and a C compiler. (It would
// do nothing to a Go program such as etcd, which asks the kernel without the C
// library.)
func OwnSteppedRedis(ctx context.Context, args ...string) (_ *SteppedRedis, err error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("servers: a server's wall clock is stepped by preloading a library, which is done on Linux only")
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	library, err := buildStepTime(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &SteppedRedis{file: filepath.Join(dir, "offset")}
	if err := r.Step(0); err != nil {
		return nil, err
	}
	r.Server, err = OwnRedis(ctx, Options{Local: true, Args: args, env: []string{"LD_PRELOAD=" + library, "STEPTIME_FILE=" + r.file}})
	if err != nil {
		return nil, err
	}
	stop := r.powers.stop
	r.powers.stop = func() error { return errors.Join(stop(), os.RemoveAll(dir)) }
	return r, nil
}

// Step sets by how much the clock of the server differs from that of this
// machine, in whole seconds, from its next look at the time on.
func (r *SteppedRedis) Step(offset time.Duration) error {
	f, err := os.OpenFile(r.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(offset/time.Second)), 0) // in place: the server has it mapped
	return errors.Join(err, f.Close())
}

func buildStepTime(ctx context.Context, dir string) (library string, err error) {
	var compiler string
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if compiler, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return "", errors.New("servers: a server's wall clock is stepped by a library in C, and there is no C compiler here")
	}
	source := filepath.Join(dir, "steptime.c")
	if err := os.WriteFile(source, stepTime, 0o600); err != nil {
		return "", err
	}
	library = filepath.Join(dir, "steptime.so")
	out, err := exec.CommandContext(ctx, compiler, "-shared", "-fPIC", "-O2", "-o", library, source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("servers: %s steptime.c: %w: %s", compiler, err, out)
	}
	return library, nil
}
