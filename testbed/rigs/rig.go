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
	prefix   string
	protocol proxy.Protocol
	url      func(addrs string) string         // opens this rig's prefix through addrs
	urlUnder func(addrs, prefix string) string // the same for a prefix below it
	onReply  func(method string, message []byte)

	mu      sync.Mutex // guards what follows
	addrs   []string   // of the server, or of all its members
	members map[locker.Locker]*member
	count   int
	planted map[string]bool
}

// A member is one client.
type member struct {
	name  string
	l     locker.Locker
	links []*proxy.Proxy // one for each address of the server
	clock *clock         // nil for a process
	lent  func() error   // closes the client that OpenShared lent to l, or nil
}

func newRig(p proxy.Protocol, addrs ...string) *rig {
	return &rig{
		addrs: addrs, protocol: p,
		prefix:  "check-" + strings.ToLower(rand.Text()),
		members: make(map[locker.Locker]*member), planted: make(map[string]bool),
	}
}

// connect puts a proxy in front of each address.
func (r *rig) connect(addrs []string) (links []*proxy.Proxy, err error) {
	var opts []proxy.Option
	if r.onReply != nil {
		opts = append(opts, proxy.OnReply(r.onReply))
	}
	for i, addr := range addrs {
		if i == 1 {
			opts = append(opts, proxy.Beside(links[0]))
		}
		p, err := proxy.New(addr, r.protocol, opts...)
		if err != nil {
			return nil, errors.Join(err, disconnect(links))
		}
		links = append(links, p)
	}
	return links, nil
}

func disconnect(links []*proxy.Proxy) error {
	errs := make([]error, 0, len(links))
	for _, p := range links {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Open opens a client by URL, through a proxy of its own.
func (r *rig) Open(ctx context.Context, opts ...locker.OpenOption) (locker.Locker, error) {
	return r.openBy(ctx, r.servers(), r.url, opts)
}

// OpenUnder opens a client under a prefix below that of the rig.
func (r *rig) OpenUnder(ctx context.Context, prefix string, opts ...locker.OpenOption) (locker.Locker, error) {
	return r.openBy(ctx, r.servers(), func(addrs string) string { return r.urlUnder(addrs, prefix) }, opts)
}

func (r *rig) openBy(ctx context.Context, servers []string, url func(addrs string) string, opts []locker.OpenOption) (locker.Locker, error) {
	c := new(clock)
	opts = append([]locker.OpenOption{driver.WithClock(c.of(driver.SystemClock()))}, opts...)
	return r.join(servers, c, func(addrs string) (locker.Locker, error) {
		return locker.Open(ctx, url(addrs), opts...)
	})
}

func (r *rig) servers() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs
}

// Spawn opens a client in a process of its own, also through a proxy.
func (r *rig) Spawn(ctx context.Context) (conformance.Process, error) {
	l, err := r.join(r.servers(), nil, func(addrs string) (locker.Locker, error) {
		return remote.Spawn(ctx, remote.Config{URL: r.url(addrs)})
	})
	if err != nil {
		return nil, err
	}
	return l.(conformance.Process), nil
}

func (r *rig) join(servers []string, c *clock, open func(addrs string) (locker.Locker, error)) (locker.Locker, error) {
	links, err := r.connect(servers)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(links))
	for i, p := range links {
		addrs[i] = p.Addr()
	}
	l, err := open(strings.Join(addrs, ","))
	if err != nil {
		return nil, errors.Join(err, disconnect(links))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.members[l] = &member{name: fmt.Sprintf("client %d", r.count), l: l, links: links, clock: c}
	return l, nil
}

// move has the address of the server lead elsewhere.
func (r *rig) move(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs = []string{addr}
	for _, m := range r.members {
		for _, p := range m.links {
			p.Retarget(addr)
		}
	}
}

// A clock runs ahead of the system's.
type clock struct {
	slept   atomic.Int64 // ns for which the machine was suspended
	stepped atomic.Int64 // ns by which the wall clock was set
}

func (c *clock) of(system driver.Clock) driver.Clock {
	return driver.Clock{
		Now:       func() time.Time { return system.Now().Add(time.Duration(c.stepped.Load())) },
		SinceBoot: func() time.Duration { return system.SinceBoot() + time.Duration(c.slept.Load()) },
		Suspends:  true,
	}
}

// Suspend makes the clock that counts suspended time jump.
func (r *rig) Suspend(l locker.Locker, d time.Duration) error {
	return r.jump(l, func(c *clock) { c.slept.Add(int64(d)) })
}

// StepClient makes the time of day jump.
func (r *rig) StepClient(l locker.Locker, d time.Duration) error {
	return r.jump(l, func(c *clock) { c.stepped.Add(int64(d)) })
}

func (r *rig) jump(l locker.Locker, f func(*clock)) error {
	m, err := r.member(l)
	if err != nil {
		return err
	}
	if m.clock == nil {
		return errors.New("rigs: a client in another process has its own clock")
	}
	f(m.clock)
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
	if err != nil {
		return err
	}
	for _, p := range m.links {
		f(p)
	}
	return nil
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

// DropReplies loses the answers to the next n requests, to whichever member.
func (r *rig) DropReplies(l locker.Locker, n int) error {
	return r.disturb(l, func(p *proxy.Proxy) { p.DropReplies(n) })
}

// Lost counts the answers that DropReplies has lost.
func (r *rig) Lost(l locker.Locker) (n int64, err error) {
	err = r.disturb(l, func(p *proxy.Proxy) { n += p.Stats().Lost })
	return n, err
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
		for _, p := range m.links {
			n += p.Stats().Requests
		}
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
		n := 0
		for _, p := range m.links {
			n += p.Stats().Open
		}
		if n > 0 && m.lent == nil {
			lines = append(lines, fmt.Sprintf("connection: %d of %s", n, m.name))
		}
	}
	return lines
}

// lend opens a Locker over a client that open makes, which the rig closes with
// lent.
func (r *rig) lend(open func(addrs string) (l locker.Locker, lent func() error, err error)) (locker.Locker, error) {
	var lent func() error
	l, err := r.join(r.servers(), nil, func(addrs string) (l locker.Locker, err error) {
		l, lent, err = open(addrs)
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
			for _, p := range m.links {
				p.Heal()
			}
			if p, ok := m.l.(conformance.Process); ok {
				_ = p.Continue() // it may have been killed
			}
			// A crashed client cannot say goodbye; whether the others leave
			// something behind is for a check, not for the cleanup.
			_ = m.l.Close()
			if m.lent != nil {
				_ = m.lent()
			}
			_ = disconnect(m.links)
		})
	}
	closing.Wait()
	return nil
}
