package broken

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockerlib/locker"
)

var _ locker.Lister = (*client)(nil)

// List reads everything at once.
func (c *client) List(ctx context.Context, prefix string) iter.Seq2[locker.Status, error] {
	return func(yield func(locker.Status, error) bool) {
		var all []locker.Status
		if err := c.rpc(ctx, 10*time.Second, scriptInspect, func(s *server) { all = s.list(c.prefix, prefix) }); err != nil {
			yield(locker.Status{}, errors.Join(locker.ErrUnavailable, err))
			return
		}
		for _, status := range all {
			if !yield(status, nil) {
				return
			}
		}
	}
}

func (s *server) list(under, prefix string) (all []locker.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flaw.listsByPattern {
		prefix, _, _ = strings.Cut(prefix, "*")
	}
	for _, key := range slices.Sorted(maps.Keys(s.queues)) {
		s.settle(key)
		name, ours := strings.CutPrefix(key, under)
		q := s.queues[key]
		if !ours || !strings.HasPrefix(name, prefix) || len(q) == 0 {
			continue
		}
		if s.flaw.listsOnePage && len(all) == 100 {
			break
		}
		all = append(all, locker.Status{Name: name, Holder: locker.Holder{Client: q[0].identity, Token: q[0].token}, WaiterCount: len(q) - 1})
	}
	return all
}

// refusal tells who holds a name and how many wait.
func (s *server) refusal(q []*claim) answer {
	a := answer{refused: true, holder: *q[0], waiters: len(q) - 1}
	if s.flaw.blamesWaiter {
		a.holder = *q[len(q)-1]
	}
	return a
}

// resolve takes the options that a Locker is opened with. There are none of its
// own.
func (s *server) resolve(opts []locker.OpenOption) (locker.Config, error) {
	cfg, err := locker.ResolveOpen(opts...)
	if err == nil && !s.flaw.takesAnyOption {
		err = cfg.Unused()
	}
	return cfg, err
}

// wasBroken reports whether somebody broke the claim, and did not only remove
// it.
func (s *server) wasBroken(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed[id].broken && !s.flaw.hidesBreak
}

// A removal is the end of a hold behind the back of its client.
type removal struct{ happened, broken bool }

func tellings() []spoiledLock {
	return []spoiledLock{
		{"one page", "List gives the first hundred names.", "O9", "names all that is held", flaw{listsOnePage: true}},
		{"lists by pattern", "A star in the prefix of List stands for anything.", "O9", "keeps to its prefix", flaw{listsByPattern: true}},
		{"blames a waiter", "A refused try is told of whoever came last.", "O10", "names the holder", flaw{blamesWaiter: true}},
		{"counts the holder", "Inspect counts the holder among those who wait.", "O10", "tells who waits", flaw{countsHolder: true}},
		{"gone without a reason", "A lock that was broken is reported as evicted.", "O11", "told that it was broken", flaw{hidesBreak: true}},
		{"renews what is over", "What has run out is cleared when somebody asks for it or waits, and a renewal finds it until then, for half a TTL at most.", "N7", "does not bring a hold back", flaw{renewsLate: true}},
		{"undoes what it knows", "A claim that was never answered is not undone, and waits for ever.", "O5", "gone from the queue", flaw{undoesConfirmed: true, waitersLiveForever: true}},
		{"takes any option", "An option of another backend is ignored.", "Z7", "an option of another backend", flaw{takesAnyOption: true}},
	}
}
