package redislock

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url, address, user, password string
		db                           int
	}{
		{"redis://localhost", "localhost:6379", "", "", 0},
		{"redis://h:1234/7", "h:1234", "", "", 7},
		{"redis://h:1234/?db=3", "h:1234", "", "", 3},
		{"redis://[::1]", "[::1]:6379", "", "", 0},
		{"redis://u:p@[2001:db8::1]:7000/2", "[2001:db8::1]:7000", "u", "p", 2},
		{"redis://[fe80::1%25eth0]:7000", "[fe80::1%eth0]:7000", "", "", 0},
		{"redis://:secret@h", "h:6379", "", "secret", 0},
		{"redis://user@h", "h:6379", "user", "", 0},
		{"redis://u:p@ss@h:1", "h:1", "u", "p@ss", 0},
		{"redis://u:a/b?c#d@h:1/2", "h:1", "u", "a/b?c#d", 2},
		{"redis://u:a:b@h:1", "h:1", "u", "a:b", 0},
		{"redis://u:100%@h:1", "h:1", "u", "100%", 0},
		{"redis://u:p%40ss%2F%3A@h:1", "h:1", "u", "p@ss/:", 0},
		{"redis://us%40er:p+q@h:1", "h:1", "us@er", "p+q", 0},
	} {
		o, _, err := parseURL(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if o.Addr != test.address || o.Username != test.user || o.Password != test.password || o.DB != test.db || o.TLSConfig != nil {
			t.Errorf("%s: address %q, user %q, password %q, database %d", test.url, o.Addr, o.Username, o.Password, o.DB)
		}
	}
}

func TestParseURLParameters(t *testing.T) {
	o, opts, err := parseURL("redis://h?prefix=app/&ttl=3s&dial_timeout=2&read_timeout=4s&pool_size=7&protocol=3&client_name=me")
	if err != nil {
		t.Fatal(err)
	}
	if o.DialTimeout != 2*time.Second || o.ReadTimeout != 4*time.Second || o.PoolSize != 7 || o.Protocol != 3 || o.ClientName != "me" {
		t.Errorf("options: %+v", o)
	}
	cfg, err := locker.ResolveOpen(opts...)
	if err != nil {
		t.Fatal(err)
	}
	req, err := cfg.Resolve(t.Context(), "n", nil)
	if err != nil || req.TTL != 3*time.Second {
		t.Errorf("the default TTL is %v, %v", req.TTL, err)
	}
	if p, ok := cfg.Backend(prefixKey{}); !ok || p != "app/" {
		t.Errorf("the prefix is %v", p)
	}

	o, _, err = parseURL("rediss://h:1?server_name=other&insecure_skip_verify=true")
	if err != nil {
		t.Fatal(err)
	}
	if c := o.TLSConfig; c == nil || c.ServerName != "other" || !c.InsecureSkipVerify || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("TLS: %+v", c)
	}
	if o, _, err = parseURL("rediss://u:p@[::1]:1/2"); err != nil || o.TLSConfig.ServerName != "::1" || o.TLSConfig.InsecureSkipVerify {
		t.Errorf("TLS for an IPv6 host: %v", err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	for url, say := range map[string]string{
		"redis://u:hunter2@a:1,b:2":                "one primary",
		"redis://u:hunter2@h?prefx=a":              "known: prefix, ttl",
		"redis://u:hunter2@h?ca=file":              "unknown parameter",
		"redis://u:hunter2@h?prefix=a{b}":          "brace",
		"redis://u:hunter2@h?prefix=":              "empty",
		"redis://u:hunter2@h?ttl=3":                "duration",
		"redis://u:hunter2@h?ttl=3s&ttl=4s":        "twice",
		"redis://u:hunter2@h/app":                  "number of a database",
		"redis://u:hunter2@h/-1":                   "number of a database",
		"redis://u:hunter2@h/1/2":                  "number of a database",
		"redis://u:hunter2@h?pool_size=x":          "pool_size",
		"redis://u:hunter2@h:99999":                "port",
		"redis://u:hunter2@":                       "host",
		"rediss://u:hunter2@h?ca=/no/such/file":    "parameter ca",
		"rediss://u:hunter2@h?cert=a":              "belong together",
		"rediss://u:hunter2@h?skip_verify=perhaps": "true or false",
	} {
		_, _, err := parseURL(url)
		if !errors.Is(err, locker.ErrInvalid) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v; want ErrInvalid with %q and without the password", url, err, say)
		}
	}
	if _, err := locker.Open(t.Context(), "redis://h?ttl=-1s"); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("a negative TTL: %v", err)
	}
}
