package broken

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
)

// A tenure is one hold with its levels.
type tenure struct {
	c     *client
	name  string
	owner string
	claim *claim
	ttl   time.Duration
	token uint64
	busy  atomic.Bool // a renewal is in flight, where only one may be

	unanswered atomic.Bool // a release

	past // what only flawed code asks about

	mu       sync.Mutex    // guards all below
	deadline time.Duration // by the client's clock
	levels   []*lock       // live ones
	count    int
	over     error
	quiet    chan struct{} // closed when nothing is to be renewed
}

// grant makes a lock of an answer. nil, nil asks to claim again.
func (c *client) grant(caller context.Context, cl *claim, r locker.Request, a answer, sent time.Duration) (locker.Lock, error) {
	from := sent
	if c.flaw.deadlineFromReply {
		from = c.sinceBoot()
	}
	t := &tenure{c: c, name: r.Name, owner: r.Owner, claim: cl, ttl: a.ttl, token: a.token, quiet: make(chan struct{})}
	t.tried = cl.tried
	if c.flaw.echoesTTL {
		t.ttl = r.TTL
	}
	if c.flaw.noTokens {
		t.token = 0
	}
	if c.flaw.shortName {
		t.name = r.Name[:1]
	}
	cl.ttl = a.ttl
	t.deadline = from + t.valid()
	t.first = t.deadline
	stale := cl.first && c.sinceBoot()-t.deadline < c.flaw.staleFirst
	if c.sinceBoot() >= t.deadline && !c.flaw.noCheckAfterWait && a.ttl > 0 && !stale {
		return nil, fmt.Errorf("%w: the grant took longer than its lease", locker.ErrUnavailable)
	}
	if c.flaw.tokenAfterGrant || c.flaw.staleFetches && c.sinceBoot() >= t.deadline {
		if err := c.rpc(caller, 10*time.Second, scriptToken, func(s *server) { t.token = s.nextToken(c.prefix + r.Name) }); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, locker.ErrClosed
	}
	c.holds[key(r)] = t
	if c.flaw.resumes(r.Owner) {
		t.count += c.depths[key(r)]
	}
	c.mu.Unlock()
	l := t.enter()
	if c.flaw.oneTooMany {
		t.count++
	}
	if a.ttl > 0 {
		c.work.Go(func() { t.keep(caller) })
	}
	return l, nil
}

// valid is how long after its request a lease is certain: less one percent.
func (t *tenure) valid() time.Duration {
	if t.c.flaw.deadlineSlips > 0 {
		return t.ttl + t.c.flaw.deadlineSlips
	}
	return t.ttl - t.ttl/100
}

// keep renews until the tenure is over, and ends it at its deadline.
func (t *tenure) keep(caller context.Context) {
	asked := caller
	if !t.c.flaw.renewsUnderAcquire {
		caller = context.Background()
	}
	tick := min(50*time.Millisecond, max(t.ttl/50, 1))
	last := t.c.sinceBoot()
	for {
		if wait(caller, t.quiet, min(tick, t.left())) != nil {
			<-t.quiet
			return
		}
		select {
		case <-t.quiet:
			return
		default:
		}
		t.c.link.standstill()
		if t.expired() || t.c.link.dead() && t.c.ctx.Err() != nil {
			return
		}
		if now := t.c.sinceBoot(); now-last >= t.ttl/3 && !t.c.flaw.noRenewal && !t.spent() {
			last = now
			if t.c.flaw.ctxAtRenewal && t.renewals.Load() == 1 && asked.Err() == nil {
				caller = asked
			}
			// Beside the tick, so that a lost answer does not hold up the
			// deadline.
			if t.c.flaw.oneInFlight && !t.busy.CompareAndSwap(false, true) {
				continue
			}
			t.c.work.Go(func() {
				defer t.busy.Store(false)
				if !t.renew(caller, now) && (t.c.flaw.givesUp || t.failedTwice()) {
					t.lose(locker.LostExpired, errGaveUp)
				}
			})
		}
	}
}

// renew asks once.
func (t *tenure) renew(ctx context.Context, sent time.Duration) (answered bool) {
	found, broken := false, false
	limit := t.ttl
	if t.c.flaw.givesUp {
		limit = t.ttl / 8
	}
	if t.c.flaw.renewalImpatient {
		limit = t.ttl / 3
	}
	t.flying.Add(1)
	defer t.flying.Add(-1)
	err := t.c.rpc(ctx, max(limit, 1), scriptRenew, func(s *server) {
		found, broken = s.renew(t.c.prefix+t.name, t.claim.id, t.ttl), s.wasBroken(t.claim.id)
		if found && t.c.flaw.arrivedIsAnswered && !t.c.link.stalls() {
			t.extend(sent)
		}
	})
	if t.c.flaw.resetIsLoss && errors.Is(err, errReset) {
		t.lose(locker.LostExpired, err)
	}
	switch {
	case errors.Is(err, errNoScript): // which only flawed code lets happen
	case errors.Is(err, errNoLeader) && t.c.flaw.errorRenews:
		found = true
	case err != nil:
		return false
	}
	if t.c.flaw.anyAnswerRenews {
		found = true
	}
	if !found {
		reason := locker.LostEvicted
		if broken {
			reason = locker.LostBroken
		}
		t.lose(reason, nil)
		return true
	}
	t.extend(sent)
	if t.c.flaw.tokenMoves {
		t.mu.Lock()
		t.token++
		t.mu.Unlock()
	}
	return true
}

// extend moves the deadline for a renewal that was sent then.
func (t *tenure) extend(sent time.Duration) {
	t.mu.Lock()
	t.deadline = max(t.deadline, sent+t.valid())
	t.mu.Unlock()
}

func (t *tenure) until() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline
}

// left is how long it is to the deadline.
func (t *tenure) left() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.c.flaw.noDeadline || t.hopes() {
		return t.ttl
	}
	return max(t.deadline-t.c.sinceBoot(), 1)
}

func (t *tenure) expired() bool {
	t.mu.Lock()
	over := t.c.sinceBoot() >= t.deadline && t.ttl > 0 && !t.c.flaw.noDeadline && !t.hopes()
	t.mu.Unlock()
	if over {
		t.lose(locker.LostExpired, nil)
	}
	return over
}

func (t *tenure) lose(reason locker.LostReason, cause error) {
	if t.c.flaw.cleansUpLater && reason == locker.LostEvicted {
		t.cleanUp()
	}
	t.finish(&locker.LostError{Name: t.name, Token: t.token, Reason: reason, At: time.Now(), Err: cause})
}

// finish ends every level with err, unless they ended before.
func (t *tenure) finish(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil {
		return
	}
	t.over = err
	if t.c.flaw.oldestToldOnly && !errors.Is(err, locker.ErrReleased) && len(t.levels) > 1 {
		for _, l := range t.levels[1:] {
			l.endUntold(err)
		}
		t.levels = t.levels[:1]
	}
	levels := t.levels
	if t.c.flaw.newestOnly && len(levels) > 0 {
		levels = levels[len(levels)-1:]
	}
	for _, l := range levels {
		l.end(err)
	}
	t.levels = nil
	t.hush()
	t.c.forget(t)
}

// hush stops renewal. mu is held.
func (t *tenure) hush() {
	select {
	case <-t.quiet:
	default:
		close(t.quiet)
	}
}

func (c *client) forget(t *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := t.name + "\x00" + t.owner
	if c.holds[k] == t {
		delete(c.holds, k)
	}
	if c.flaw.resumes(t.owner) {
		c.depths[k] = max(0, t.count)
	}
	if seat := c.seats[t.name]; seat != nil {
		select {
		case <-seat:
		default:
		}
	}
}

// enter adds a level.
func (t *tenure) enter() *lock {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil {
		return nil
	}
	l := &lock{t: t, token: t.token, ttl: t.ttl, done: make(chan struct{})}
	if t.c.flaw.bornClosed {
		close(l.done)
		l.closed = true
	}
	if t.c.flaw.tokenPerLevel {
		l.token += uint64(len(t.levels))
	}
	l.oldest = len(t.levels) == 0
	t.levels = append(t.levels, l)
	t.count++
	return l
}

// reenter enters a live hold of the same owner.
func (c *client) reenter(r locker.Request) locker.Lock {
	c.mu.Lock()
	t := c.holds[key(r)]
	for _, other := range c.holds {
		if other.name == r.Name && (c.flaw.anyoneEnters || c.flaw.entersByPrefix && r.Owner != "" && strings.HasPrefix(other.owner, r.Owner)) {
			t = other
		}
	}
	c.mu.Unlock()
	if c.flaw.identityEnters {
		if l := c.enterByIdentity(r); l != nil {
			return l
		}
	}
	if t == nil || r.Owner == "" && !c.flaw.anyoneEnters || t.expired() {
		return nil
	}
	l := t.enter()
	if l == nil {
		return nil
	}
	if c.flaw.ttlPerLevel {
		l.ttl = r.TTL
	}
	if c.flaw.leasePerLevel {
		c.server.mu.Lock()
		if held := c.server.find(r.Name, t.claim.id); held != nil {
			held.expires = held.expires.Add(t.ttl)
		}
		c.server.mu.Unlock()
	}
	return l
}

// enterByIdentity lets a Locker in that has the same identity as the holder.
func (c *client) enterByIdentity(r locker.Request) locker.Lock {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	q := c.server.queues[r.Name]
	if len(q) == 0 || q[0].identity != c.cfg.Identity || q[0].client == c.id || r.Owner == "" || q[0].owner != r.Owner {
		return nil
	}
	t := &tenure{c: c, name: r.Name, owner: r.Owner, claim: q[0], ttl: q[0].ttl, token: q[0].token, quiet: make(chan struct{}), deadline: c.sinceBoot() + q[0].ttl}
	return t.enter()
}
