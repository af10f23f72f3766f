// Package rigs lets the conformance suite run against etcd and Redis: real
// servers, with a proxy in front of each client and clients in processes of
// their own.
package rigs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/driver"
	"github.com/lockerlib/locker/testbed/proxy"
	"github.com/lockerlib/locker/testbed/remote"
	"github.com/lockerlib/locker/testbed/servers"
)

// A Maker makes rigs on one server, over a connection of its own that Close
// closes.
type Maker interface {
	conformance.Maker
	Close() error
}

// A rig is what the rigs of all backends have in common. Its prefix is its own,
// so that many share a server.
type rig struct {
	server   *servers.Server
	prefix   string
	protocol proxy.Protocol
	url      func(addr string) string // opens this rig's prefix through addr
	onReply  func(method string, message []byte)

	mu      sync.Mutex // guards what follows
	members map[locker.Locker]*member
	count   int
	planted map[string]bool
}

// A member is one client.
type member struct {
	name   string
	l      locker.Locker
	proxy  *proxy.Proxy
	jumped *atomic.Int64 // ns by which the clock ran ahead; nil for a process
	lent   func() error  // closes the client that OpenShared lent to l, or nil
}

func newRig(s *servers.Server, p proxy.Protocol) *rig {
	return &rig{
		server: s, protocol: p,
		prefix:  "check-" + strings.ToLower(rand.Text()),
		members: make(map[locker.Locker]*member), planted: make(map[string]bool),
	}
}

func (r *rig) newProxy() (*proxy.Proxy, error) {
	var opts []proxy.Option
	if r.onReply != nil {
		opts = append(opts, proxy.OnReply(r.onReply))
	}
	return proxy.New(r.server.Addr, r.protocol, opts...)
}

// Open opens a client by URL, through a proxy of its own.
func (r *rig) Open(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	clock, jumped := jumpingClock()
	opts = append([]locker.OpenOption{driver.WithClock(clock)}, opts...)
	return r.join(jumped, func(addr string) (locker.Locker, error) {
		return locker.Open(ctx, r.url(addr), opts...)
	})
}

// Spawn opens a client in a process of its own, also through a proxy.
func (r *rig) Spawn(ctx context.Context) (conformance.Process, error) {
	l, err := r.join(nil, func(addr string) (locker.Locker, error) {
		return remote.Spawn(ctx, remote.Config{URL: r.url(addr)})
	})
	if err != nil {
		return nil, err
	}
	return l.(conformance.Process), nil
}

func (r *rig) join(jumped *atomic.Int64, open func(addr string) (locker.Locker, error)) (locker.Locker, error) {
	p, err := r.newProxy()
	if err != nil {
		return nil, err
	}
	l, err := open(p.Addr())
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.members[l] = &member{name: fmt.Sprintf("client %d", r.count), l: l, proxy: p, jumped: jumped}
	return l, nil
}

// jumpingClock is the system's clock, which Suspend can make run ahead.
func jumpingClock() (driver.Clock, *atomic.Int64) {
	jumped := new(atomic.Int64)
	system := driver.SystemClock()
	return driver.Clock{
		Now:       system.Now,
		SinceBoot: func() time.Duration { return system.SinceBoot() + time.Duration(jumped.Load()) },
		Suspends:  true,
	}, jumped
}

// Suspend makes the clock that counts suspended time jump.
func (r *rig) Suspend(l locker.Locker, d time.Duration) error {
	m, err := r.member(l)
	if err != nil {
		return err
	}
	if m.jumped == nil {
		return errors.New("rigs: a client in another process has its own clock")
	}
	m.jumped.Add(int64(d))
	return nil
}

func (r *rig) member(l locker.Locker) (*member, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[l]
	if m == nil {
		return nil, fmt.Errorf("rigs: %T was not opened by this rig", l)
	}
	return m, nil
}

func (r *rig) disturb(l locker.Locker, f func(*proxy.Proxy)) error {
	m, err := r.member(l)
	if err == nil {
		f(m.proxy)
	}
	return err
}

// Cut is that of the client's proxy, as are Heal, Delay and DropReplies.
func (r *rig) Cut(l locker.Locker, d conformance.Direction) error {
	return r.disturb(l, func(p *proxy.Proxy) { p.Cut(direction(d)) })
}

func direction(d conformance.Direction) (half proxy.Direction) {
	if d&conformance.Up != 0 {
		half |= proxy.Up
	}
	if d&conformance.Down != 0 {
		half |= proxy.Down
	}
	return half
}

// Heal ends Cut and Delay.
func (r *rig) Heal(l locker.Locker) error { return r.disturb(l, (*proxy.Proxy).Heal) }

// Delay lets everything in that direction arrive later.
func (r *rig) Delay(l locker.Locker, dir conformance.Direction, d time.Duration) error {
	return r.disturb(l, func(p *proxy.Proxy) { p.Delay(direction(dir), d) })
}

// DropReplies loses the answers to the next n requests.
func (r *rig) DropReplies(l locker.Locker, n int) error {
	return r.disturb(l, func(p *proxy.Proxy) { p.DropReplies(n) })
}

// Crash ends the client's connections for good, as the death of its process
// would; a client in another process is killed. One in this process goes on and
// reaches nobody; Close cleans it up.
func (r *rig) Crash(l locker.Locker) error {
	if p, ok := l.(conformance.Process); ok {
		return p.Kill()
	}
	return r.disturb(l, (*proxy.Proxy).Sever)
}

// Requests counts the requests of all clients that reached the server, at their
// proxies.
func (r *rig) Requests() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var n int64
	for _, m := range r.members {
		n += m.proxy.Stats().Requests
	}
	return n
}

// connections lists the connections that the clients have on the server. That
// of a client that was lent is not the Locker's.
func (r *rig) connections() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, m := range r.members {
		if n := m.proxy.Stats().Open; n > 0 && m.lent == nil {
			lines = append(lines, fmt.Sprintf("connection: %d of %s", n, m.name))
		}
	}
	return lines
}

// lend opens a Locker over a client that open makes, which the rig closes with
// lent.
func (r *rig) lend(open func(addr string) (l locker.Locker, lent func() error, err error)) (locker.Locker, error) {
	var lent func() error
	l, err := r.join(nil, func(addr string) (l locker.Locker, err error) {
		l, lent, err = open(addr)
		return l, err
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[l].lent = lent
	return l, nil
}

// plant remembers a key that is not the library's.
func (r *rig) plant(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.planted[key] = true
}

func (r *rig) isPlanted(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.planted[key]
}

// Close closes all clients at once, after their links were healed and their
// processes continued: none is to wait for an answer that cannot come.
func (r *rig) Close() error {
	r.mu.Lock()
	members := r.members
	r.members = nil
	r.mu.Unlock()
	var closing sync.WaitGroup
	for _, m := range members {
		closing.Go(func() {
			m.proxy.Heal()
			if p, ok := m.l.(conformance.Process); ok {
				_ = p.Continue() // it may have been killed
			}
			// A crashed client cannot say goodbye; whether the others leave
			// something behind is for a check, not for the cleanup.
			_ = m.l.Close()
			if m.lent != nil {
				_ = m.lent()
			}
			_ = m.proxy.Close()
		})
	}
	closing.Wait()
	return nil
}
