// Package remote runs a client in another process of the operating system, so
// that it can be killed, stopped and continued as only a process can. The
// parent sees it as a locker.Locker; the two speak JSON, a line a message, over
// the child's standard input and output.
package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/child"
)

// ErrKilled is wrapped by what the calls of a process return that was killed,
// or ended by itself.
var ErrKilled = errors.New("remote: the process is gone")

// answerTimeout bounds the wait for an answer that the child gives at once,
// unless it is stopped.
const answerTimeout = 15 * time.Second

// Config says what a process opens.
type Config struct {
	URL      string          // as locker.Open takes it, of etcd or Redis
	Identity string          // see locker.WithIdentity; "" for the default of the child
	Defaults []locker.Option // see locker.WithDefaults
}

// A Process is a client in another process. It is safe for concurrent use.
//
// While the process is stopped, calls wait until it is continued or killed:
// Acquire until its context has ended and 15 s more, Release and Err of a lock
// for up to 15 s. Deadline never waits. After a kill, Done of its locks is
// closed and everything fails with ErrKilled.
type Process struct {
	cfg  locker.Config
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended and all was read

	in struct {
		sync.Mutex // guards the encoder: one call a line
		*json.Encoder
	}

	mu     sync.Mutex // guards what follows
	last   uint64     // ID of a call
	calls  map[uint64]chan message
	locks  map[uint64]*lock
	closed bool
}

var _ conformance.Process = (*Process)(nil)

// Spawn starts this program again as a child that opens cfg.URL, and returns
// when it has. The program must call Main first thing. ctx bounds the start
// only.
func Spawn(ctx context.Context, cfg Config) (*Process, error) {
	resolved, err := locker.ResolveOpen(locker.WithDefaults(cfg.Defaults...))
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envURL+"="+cfg.URL, envIdentity+"="+cfg.Identity)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	stdout, childsEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	cmd.Stdout = childsEnd
	p := &Process{
		cfg: resolved, cmd: cmd, gone: make(chan struct{}),
		calls: make(map[uint64]chan message), locks: make(map[uint64]*lock),
	}
	p.in.Encoder = json.NewEncoder(stdin)
	ended, err := child.Start(cmd)
	_ = childsEnd.Close() // the child has its own
	if err != nil {
		_ = stdout.Close() // nobody writes to it
		return nil, fmt.Errorf("remote: %w", err)
	}
	ready := make(chan message, 1)
	go p.listen(stdout, ended, ready)
	select {
	case m := <-ready:
		if err := m.Err.decode(); err != nil {
			<-p.gone
			return nil, err
		}
		return p, nil
	case <-p.gone:
		return nil, fmt.Errorf("%w before it was ready: does the program call remote.Main first?", ErrKilled)
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), p.Kill())
	}
}

// listen reads what the child says until it has ended.
func (p *Process) listen(stdout io.ReadCloser, ended <-chan struct{}, ready chan<- message) {
	defer close(p.gone)
	defer func() { _ = stdout.Close() }() // read to its end
	dec := json.NewDecoder(bufio.NewReader(stdout))
	for {
		var m message
		if dec.Decode(&m) != nil {
			break
		}
		if m.Ready {
			ready <- m
			continue
		}
		p.take(m)
	}
	<-ended
	p.mu.Lock()
	locks := p.locks
	p.locks, p.closed = nil, true
	p.mu.Unlock()
	for _, l := range locks {
		l.end(l.lost(ErrKilled))
	}
}

// take handles one message. A lock is entered into p.locks here, before a later
// message can say that it ended.
func (p *Process) take(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case m.Ended != 0:
		if l := p.locks[m.Ended]; l != nil {
			delete(p.locks, m.Ended)
			l.end(m.Err.decode())
		}
	case m.Renewed != 0:
		for _, l := range p.locks {
			if l.state.Token == m.Renewed && l.state.Name == m.Name {
				l.renewed(m.Deadline)
			}
		}
	case m.ID != 0:
		if m.Lock != nil {
			p.locks[m.Lock.Handle] = newLock(p, *m.Lock)
		}
		if answer := p.calls[m.ID]; answer != nil {
			delete(p.calls, m.ID)
			answer <- m // has room for one
		}
	}
}

// send starts a call. The answer comes on the channel.
func (p *Process) send(q call) (uint64, <-chan message, error) {
	answer := make(chan message, 1)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return 0, nil, locker.ErrClosed
	}
	p.last++
	q.ID = p.last
	p.calls[q.ID] = answer
	p.mu.Unlock()
	return q.ID, answer, p.write(q)
}

func (p *Process) write(q call) error {
	p.in.Lock()
	defer p.in.Unlock()
	if err := p.in.Encode(q); err != nil {
		return fmt.Errorf("%w: %w", ErrKilled, err)
	}
	return nil
}

// ask makes a call that the child answers at once.
func (p *Process) ask(q call) error {
	_, answer, err := p.send(q)
	if err != nil {
		return err
	}
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	select {
	case m := <-answer:
		return m.Err.decode()
	case <-p.gone:
		return p.after(answer)
	case <-timeout.C:
		return fmt.Errorf("%w: the process has not answered for %v", locker.ErrUnavailable, answerTimeout)
	}
}

// after gives an answer that came just before the end.
func (p *Process) after(answer <-chan message) error {
	select {
	case m := <-answer:
		return m.Err.decode()
	default:
		return fmt.Errorf("%w: %w", locker.ErrUnavailable, ErrKilled)
	}
}

// Kill ends the process with SIGKILL and returns when it has ended.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

func (p *Process) end(sig os.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err == nil {
		<-p.gone
	}
	return err
}

// Stop sends SIGSTOP.
func (p *Process) Stop() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue sends SIGCONT.
func (p *Process) Continue() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Close closes the Locker in the process, and ends the process. One that does
// not answer is killed.
func (p *Process) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil
	}
	err := p.ask(call{Op: opClose})
	if errors.Is(err, locker.ErrClosed) {
		err = nil
	}
	select {
	case <-p.gone:
		return err
	case <-time.After(time.Second):
		return errors.Join(err, p.Kill())
	}
}
