package driver

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/lockerlib/locker"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		name string
		raw  string
		want Address
	}{
		{"one host", "etcd://h1", Address{Scheme: "etcd", Hosts: []Host{{"h1", ""}}}},
		{"scheme folds", "ETCD://h1", Address{Scheme: "etcd", Hosts: []Host{{"h1", ""}}}},
		{"hosts, path and query", "etcd://h1:2379,h-2.x_y:1/a/b?mode=lease&ttl=15s", Address{
			Scheme: "etcd", Hosts: []Host{{"h1", "2379"}, {"h-2.x_y", "1"}}, Path: "a/b",
			Query: []Param{{"mode", "lease"}, {"ttl", "15s"}},
		}},
		{"IPv6", "redis://[::1]:6379,[fe80::1%25eth0],10.0.0.1/0", Address{
			Scheme: "redis", Hosts: []Host{{"::1", "6379"}, {"fe80::1%eth0", ""}, {"10.0.0.1", ""}}, Path: "0",
		}},
		{"query without a path", "redis://h?a=1", Address{Scheme: "redis", Hosts: []Host{{"h", ""}}, Query: []Param{{"a", "1"}}}},
		{"path is decoded", "etcd://h/a%2Fb%20c+d%40", Address{Scheme: "etcd", Hosts: []Host{{"h", ""}}, Path: "a/b c+d@"}},
		{"user only", "etcd://u@h", Address{Scheme: "etcd", User: "u", Hosts: []Host{{"h", ""}}}},
		{"empty password", "etcd://u:@h", Address{Scheme: "etcd", User: "u", HasPassword: true, Hosts: []Host{{"h", ""}}}},
		{"password only", "redis://:pw@h", Address{Scheme: "redis", Password: "pw", HasPassword: true, Hosts: []Host{{"h", ""}}}},
		{"user is decoded", "redis://a%3Ab:pw@h", Address{Scheme: "redis", User: "a:b", Password: "pw", HasPassword: true, Hosts: []Host{{"h", ""}}}},
		{"at in a path without a password", "etcd://h/team@x", Address{Scheme: "etcd", Hosts: []Host{{"h", ""}}, Path: "team@x"}},
		{"at in a parameter, hosts unreadable after it", "etcd://u:p@h:1/x?password=a@b=c", Address{
			Scheme: "etcd", User: "u", Password: "p", HasPassword: true, Hosts: []Host{{"h", "1"}}, Path: "x",
			Query: []Param{{"password", "a@b=c"}},
		}},
		{"parameters in order, repeated, empty", "etcd://h?b=1&&a&b=%26+", Address{
			Scheme: "etcd", Hosts: []Host{{"h", ""}}, Query: []Param{{"b", "1"}, {"a", ""}, {"b", "&+"}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAddress(tt.raw)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("ParseAddress(%q)\n got %#v\nwant %#v", tt.raw, *got, tt.want)
			}
		})
	}
}

func TestParseAddressPasswords(t *testing.T) {
	passwords := []string{
		"plain", "p@ss", "a/b", "a?b", "a#b", "a:b", "100%", "%zz", "p@ss/w?rd#1:%", "/", "?#", "@", "@@/@",
		":", "ü€", "a b", "a+b", "a,b", "[x]", "\x00\n", "//", "p@ss,word/x",
	}
	for _, password := range passwords {
		for _, form := range []struct{ name, text string }{
			{"raw", password},
			{"encoded", strings.ReplaceAll(url.QueryEscape(password), "+", "%20")},
		} {
			t.Run(fmt.Sprintf("%q %s", password, form.name), func(t *testing.T) {
				a, err := ParseAddress("etcd://root:" + form.text + "@127.0.0.1:2379,[::1]:2379/a/b?mode=lease")
				if err != nil {
					t.Fatal(err)
				}
				if a.User != "root" || a.Password != password {
					t.Errorf("got user %q and password %q, want root and %q", a.User, a.Password, password)
				}
				want := []Host{{"127.0.0.1", "2379"}, {"::1", "2379"}}
				if !reflect.DeepEqual(a.Hosts, want) || a.Path != "a/b" || len(a.Query) != 1 {
					t.Errorf("got hosts %v, path %q and parameters %v", a.Hosts, a.Path, a.Query)
				}
			})
		}
	}
}

func TestParseAddressInvalid(t *testing.T) {
	for _, raw := range []string{
		"", "secret", "://secret", "etcd:secret", "etcd://", "etcd:///secret", "etcd://?secret=1",
		"etcd://secret:pass", "etcd://secret:0", "etcd://secret:65536", "etcd://secret:-1", "etcd://secret:",
		"etcd://,secret", "etcd://secret,", "etcd://a b.secret", "etcd://::1secret", "etcd://[secret]", "etcd://[::1",
		"etcd://[::1]secret", "etcd://[127.0.0.1]:1", "etcd://u:secret@", "etcd://u:secret@/x",
		"etcd://h/x#secret", "etcd://h/%secret", "etcd://h/x?password=%secret", "etcd://h/?=secret", "etcd://h/?%secret=1",
		// Two readings: a path with '@', or a password with '/'.
		"etcd://h:2379/secret@x", "etcd://h:2379/x?password=secret@x", "etcd://u:secret@h:2379/team@x",
	} {
		t.Run(raw, func(t *testing.T) {
			a, err := ParseAddress(raw)
			if err == nil {
				t.Fatalf("no error; got %#v", *a)
			}
			if !errors.Is(err, locker.ErrInvalid) {
				t.Errorf("%v is not ErrInvalid", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats a part of the URL: %v", err)
			}
		})
	}
}

func TestAddressPrintsWithoutSecrets(t *testing.T) {
	a, err := ParseAddress("etcd://root:secret@h1:1,[::1]/a%20b?password=secret&key=secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%s", "%#v"} {
		if got, want := fmt.Sprintf(verb, a), "etcd://h1:1,[::1]/a%20b"; got != want {
			t.Errorf("%s prints %q, want %q", verb, got, want)
		}
	}
}

func TestAddressParams(t *testing.T) {
	a, err := ParseAddress("etcd://h,[::1]:7?ttl=1s&mode=x")
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Params("mode", "ttl")
	if err != nil || got["ttl"] != "1s" || got["mode"] != "x" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := a.Params("mode", "prefix"); !errors.Is(err, locker.ErrInvalid) ||
		!strings.Contains(err.Error(), `"ttl"`) || !strings.Contains(err.Error(), "mode, prefix") {
		t.Errorf("unknown parameter: got %v", err)
	}
	if hp := a.HostPorts("2379"); !reflect.DeepEqual(hp, []string{"h:2379", "[::1]:7"}) {
		t.Errorf("HostPorts: got %v", hp)
	}

	if a, err = ParseAddress("etcd://h?a=1&a=2"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Params("a"); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("a parameter given twice: got %v", err)
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("etcd://u:p@h1:1,[::1]:2/a?b=c")
	f.Add("redis://:p@ss/w?rd#1:%@h/0")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := ParseAddress(raw)
		if err != nil {
			if !errors.Is(err, locker.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		for _, hp := range a.HostPorts("1") {
			if hp == "" || strings.HasPrefix(hp, ":") {
				t.Fatalf("empty host in %q", hp)
			}
		}
	})
}
