package memlock

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/lockerlib/locker"
)

func init() { locker.Register("mem", openURL) }

var named struct {
	mu      sync.Mutex // guards servers
	servers map[string]*Server
}

// Named returns the server that the URL mem://NAME means in this process, and
// makes it if there is none yet. It stays for as long as the process runs. A
// test gets hold of the server of a program that opens its Locker by URL with
// it; tests that must not see each other's locks use names of their own.
func Named(name string) *Server {
	named.mu.Lock()
	defer named.mu.Unlock()
	s := named.servers[name]
	if s == nil {
		s = NewServer()
		if named.servers == nil {
			named.servers = make(map[string]*Server)
		}
		named.servers[name] = s
	}
	return s
}

// openURL opens mem://NAME?ttl=15s. NAME is everything up to the first question
// mark, as it stands there.
func openURL(ctx context.Context, rawURL string, opts ...locker.OpenOption) (locker.Locker, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	_, rest, _ := strings.Cut(rawURL, "://")
	name, query, _ := strings.Cut(rest, "?")
	if name == "" {
		return nil, invalidf("the URL names no server; it is written mem://NAME, parameters: ttl")
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, invalidf("the parameters of the URL cannot be read; known: ttl (for instance ttl=15s)")
	}
	for key, values := range params {
		if key != "ttl" {
			return nil, invalidf("unknown parameter %q; known: ttl", key)
		}
		ttl, err := time.ParseDuration(values[0])
		if err != nil || len(values) > 1 {
			return nil, invalidf("parameter ttl must be given once, as a duration such as 15s; known: ttl")
		}
		byURL := locker.WithDefaults(locker.WithTTL(ttl))
		if _, err := locker.ResolveOpen(byURL); err != nil {
			return nil, fmt.Errorf("%w (memlock: parameter ttl of the URL; known: ttl)", err)
		}
		opts = append([]locker.OpenOption{byURL}, opts...) // first, so that the caller's override it
	}
	c, err := Named(name).Open(opts...)
	if err != nil {
		return nil, err // and not c, which would be a non-nil Locker
	}
	return c, nil
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: memlock: %s", locker.ErrInvalid, fmt.Sprintf(format, args...))
}
