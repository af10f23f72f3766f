package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/lockerlib/locker/testbed/child"
)

// A processSpec is a server to run as a process of this machine.
type processSpec struct {
	name    string
	binary  string
	version func(version string) error // refuses versions that are too old; or nil
	args    func(port, peerPort int, dir string) []string
	ask     askVersion
	env     []string // further variables of the process
}

// A process is a server that runs as a process, over restarts.
type process struct {
	spec processSpec
	args []string
	dir  string
	addr string

	mu    sync.Mutex // guards what follows
	cmd   *exec.Cmd
	ended <-chan struct{} // closed when cmd has ended
}

// startProcess runs spec and waits until it answers. Another process may take
// the port that was free: then it tries again with another.
func startProcess(ctx context.Context, spec processSpec) (*Server, error) {
	var err error
	for range 3 {
		var s *Server
		if s, err = tryProcess(ctx, spec); err == nil || ctx.Err() != nil {
			return s, err
		}
	}
	return nil, err
}

func tryProcess(ctx context.Context, spec processSpec) (_ *Server, err error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	peerPort, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	p := &process{spec: spec, args: spec.args(port, peerPort, dir), dir: dir, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	version, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	if spec.version != nil {
		if err := spec.version(version); err != nil {
			return nil, err
		}
	}
	return p.server(version), nil
}

// server gives the process to whoever wanted a server.
func (p *process) server(version string) *Server {
	return &Server{
		Name: p.spec.name, Addr: p.addr, Kind: LocalBinary, Version: version,
		powers: Powers{
			Pause:   func(context.Context) error { return p.signal(syscall.SIGSTOP) },
			Resume:  func(context.Context) error { return p.signal(syscall.SIGCONT) },
			Kill:    func(context.Context) error { return p.kill() },
			Restart: func(ctx context.Context) error { _, err := p.start(ctx); return err },
			stop:    p.stop,
		},
	}
}

func (p *process) start(ctx context.Context) (version string, err error) {
	cmd := exec.Command(p.spec.binary, p.args...)
	out := new(tail)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.spec.env...)
	ended, err := child.Start(cmd)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	if _, version, err = awaitReady(ctx, p.spec.ask, ended, p.addr); err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w; its last words: %s", p.spec.binary, err, out), p.kill())
	}
	return version, nil
}

func (p *process) signal(sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return os.ErrProcessDone
	}
	return p.cmd.Process.Signal(sig)
}

func (p *process) kill() error {
	err := p.signal(syscall.SIGKILL)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if err == nil && ended != nil {
		<-ended
	}
	return err
}

func (p *process) stop() error {
	return errors.Join(p.kill(), os.RemoveAll(p.dir))
}

// A tail keeps the end of what a process writes, to explain why it ended.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

const tailLen = 1000

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	t.buf = t.buf[max(len(t.buf)-tailLen, 0):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.TrimSpace(string(t.buf))
	if s == "" {
		return "none"
	}
	return s
}
