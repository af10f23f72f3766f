package locker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// An OpenOption configures a Locker when it is opened. OpenOptions are made by
// the functions of this package and of the backends; a nil one is ErrInvalid.
type OpenOption interface{ applyOpen(*Config) error }

type openOptionFunc func(*Config) error

func (f openOptionFunc) applyOpen(c *Config) error { return f(c) }

// A Config is what OpenOptions resolve to. It is for implementers of backends.
type Config struct {
	Identity string       // never empty
	Logger   *slog.Logger // never nil
	Trace    *Trace       // never nil; its funcs may be
	Defaults []Option     // applied before the options of each Acquire

	backend map[any]any
}

// ResolveOpen adds up opts. Every error is ErrInvalid.
func ResolveOpen(opts ...OpenOption) (Config, error) {
	c := Config{Identity: defaultIdentity(), Logger: slog.New(slog.DiscardHandler), Trace: &Trace{}}
	for _, o := range opts {
		if o == nil {
			return Config{}, invalidf("an OpenOption is nil")
		}
		if err := o.applyOpen(&c); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// Resolve resolves one Acquire with the defaults of this Locker.
func (c *Config) Resolve(ctx context.Context, name string, opts []Option) (Request, error) {
	r := Request{TTL: DefaultTTL}
	if err := r.resolve(ctx, name, c.Defaults, opts); err != nil {
		return Request{}, err
	}
	return r, nil
}

// Backend takes the value that WithBackend stored under key out of c.
func (c *Config) Backend(key any) (value any, ok bool) {
	value, ok = c.backend[key]
	delete(c.backend, key)
	return value, ok
}

// Unused returns ErrInvalid if an option for another backend was given: one
// that nobody took out with Backend. Constructors call it last.
func (c *Config) Unused() error {
	for key := range c.backend {
		return invalidf("option %T does not belong to this backend", key)
	}
	return nil
}

// WithBackend makes the OpenOption of one backend. key should be of an
// unexported type of the backend's package, as with context.WithValue.
func WithBackend(key, value any) OpenOption {
	return openOptionFunc(func(c *Config) error {
		if c.backend == nil {
			c.backend = make(map[any]any)
		}
		c.backend[key] = value
		return nil
	})
}

// WithIdentity names this Locker to others, in Holder.Client. The default is
// host:pid. It is shown and never decides anything; two Lockers may share one.
func WithIdentity(s string) OpenOption {
	return openOptionFunc(func(c *Config) error {
		if s == "" || len(s) > MaxOwnerLen || !utf8.ValidString(s) {
			return invalidf("the identity must be 1 to %d bytes of UTF-8", MaxOwnerLen)
		}
		c.Identity = s
		return nil
	})
}

// WithDefaults sets options that every Acquire of this Locker begins with.
func WithDefaults(opts ...Option) OpenOption {
	return openOptionFunc(func(c *Config) error {
		var r Request
		if err := r.apply(opts); err != nil {
			return err
		}
		c.Defaults = append(slices.Clone(c.Defaults), opts...)
		return nil
	})
}

// WithLogger makes the Locker log what it does by itself: losses, renewals that
// failed, reconnects. The default is silence. Names of locks and addresses of
// servers are logged, passwords never.
func WithLogger(l *slog.Logger) OpenOption {
	return openOptionFunc(func(c *Config) error {
		if l == nil {
			return invalidf("the logger is nil")
		}
		c.Logger = l
		return nil
	})
}

// WithTrace installs hooks; see Trace.
func WithTrace(t *Trace) OpenOption {
	return openOptionFunc(func(c *Config) error {
		if t == nil {
			return invalidf("the trace is nil")
		}
		c.Trace = t
		return nil
	})
}

// An Opener opens a Locker from a URL of its scheme. It gets the URL as it was
// given, because net/url refuses several hosts and some passwords, and it must
// not repeat it in an error.
type Opener func(ctx context.Context, rawURL string, opts ...OpenOption) (Locker, error)

var openers struct {
	sync.RWMutex
	byScheme map[string]Opener
}

// Register makes a backend available to Open under scheme. A backend calls it
// from init. It panics if the scheme is empty or taken, or if open is nil.
func Register(scheme string, open Opener) {
	openers.Lock()
	defer openers.Unlock()
	if scheme == "" || open == nil {
		panic("locker: Register with an empty scheme or a nil Opener")
	}
	if _, taken := openers.byScheme[scheme]; taken {
		panic("locker: Register called twice for scheme " + scheme)
	}
	if openers.byScheme == nil {
		openers.byScheme = make(map[string]Opener)
	}
	openers.byScheme[scheme] = open
}

// Open opens the Locker that rawURL names:
//
//	mem://NAME?ttl=15s                                       the same NAME is the same server in this process
//	etcd://HOST:PORT,HOST:PORT/PREFIX?mode=lease|session&ttl=15s
//	redis://[USER:PASSWORD@]HOST:PORT/DB?prefix=PREFIX&ttl=15s
//	etcds://…, rediss://…                                    the same with TLS
//
// The package of the backend must be imported, and documents the rest of its
// parameters. Open asks the server once, and fails if it cannot be reached or
// refuses; ctx bounds this, and nothing after it. An unknown scheme or
// parameter is ErrInvalid and names the known ones. No error contains rawURL or
// a password.
func Open(ctx context.Context, rawURL string, opts ...OpenOption) (Locker, error) {
	if ctx == nil {
		return nil, invalidf("the context is nil")
	}
	openers.RLock()
	known := slices.Sorted(maps.Keys(openers.byScheme))
	scheme, _, hasScheme := strings.Cut(rawURL, "://")
	scheme = strings.ToLower(scheme)
	open := openers.byScheme[scheme]
	openers.RUnlock()

	if open != nil && hasScheme {
		return open(ctx, rawURL, opts...)
	}
	list := strings.Join(known, ", ")
	if len(known) == 0 {
		list = "none; import a backend, for instance _ \"github.com/lockerlib/locker/memlock\""
	}
	if rawURL == "" {
		return nil, invalidf("the URL is empty (known schemes: %s)", list)
	}
	if !hasScheme || !isScheme(scheme) {
		// Whatever stands there may be a secret, so it is not repeated.
		return nil, invalidf("the URL does not begin with a scheme and \"://\" (known schemes: %s)", list)
	}
	return nil, invalidf("unknown scheme %q (known schemes: %s); is its package imported?", scheme, list)
}

func isScheme(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '-' && r != '.' {
			return false
		}
	}
	return true
}

var defaultIdentity = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%s", host, strconv.Itoa(os.Getpid()))
})
