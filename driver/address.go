package driver

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lockerlib/locker"
)

// An Address is a URL that has been taken apart:
//
//	SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…][/PATH][?NAME=VALUE[&NAME=VALUE…]]
//
// It prints without user, password and parameters, so that it may be logged.
type Address struct {
	Scheme      string // in lower case
	User        string // decoded
	Password    string // decoded
	HasPassword bool   // a password was given, even an empty one
	Hosts       []Host // at least one, as written
	Path        string // decoded, without the slash after the hosts
	Query       []Param
}

// A Host is one server of an Address.
type Host struct {
	Name string // without brackets
	Port string // a decimal number from 1 to 65535, or "" if none was given
}

// A Param is one parameter of an Address, decoded.
type Param struct{ Name, Value string }

// ParseAddress takes a URL apart. It serves backends whose URLs net/url
// refuses: with several hosts, or with a password that was not encoded.
//
// A password may be written as it is, or percent-encoded. It counts as encoded
// if every '%' in it begins a valid code, and is taken literally otherwise. The
// user name ends at the first ':', and user and password at the last '@' of the
// URL; so an '@' in the path or in a parameter must be written as %40 when
// there is a password. Where both readings make sense the URL is refused rather
// than guessed, because a guess could send the password to the wrong server.
//
// A '+' is itself, not a space. Every error is ErrInvalid, and none repeats any
// part of raw but a parameter's name: whatever cannot be read may be a secret.
func ParseAddress(raw string) (*Address, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme == "" {
		return nil, invalidf("the URL does not begin with a scheme and \"://\"")
	}
	userinfo, rest, err := cutUser(rest)
	if err != nil {
		return nil, err
	}
	a := &Address{Scheme: strings.ToLower(scheme)}
	if user, password, ok := strings.Cut(userinfo, ":"); ok {
		a.User, a.Password, a.HasPassword = decodeLeniently(user), decodeLeniently(password), true
	} else {
		a.User = decodeLeniently(userinfo)
	}

	hosts, rest := cutAuthority(rest)
	if a.Hosts, err = parseHosts(hosts); err != nil {
		return nil, err
	}
	if strings.Contains(rest, "#") {
		return nil, invalidf("the URL has a fragment; write '#' as %%23")
	}
	path, query, _ := strings.Cut(rest, "?")
	if a.Path, err = url.PathUnescape(strings.TrimPrefix(path, "/")); err != nil {
		return nil, invalidf("the path of the URL has a '%%' that begins no code of two hex digits; write it as %%25")
	}
	if a.Query, err = parseQuery(query); err != nil {
		return nil, err
	}
	return a, nil
}

// cutUser separates what stands before the '@' that ends the user and password.
func cutUser(s string) (userinfo, rest string, err error) {
	authority, _ := cutAuthority(s)
	plainUser, plainHosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		plainUser, plainHosts = authority[:i], authority[i+1:]
	}
	plain, plainErr := parseHosts(plainHosts)

	last := strings.LastIndexByte(s, '@')
	if last < len(authority) { // also without any '@'
		if plainUser == "" && len(plainHosts) == len(authority) {
			return "", s, nil
		}
		return plainUser, s[len(plainUser)+1:], nil
	}

	// There is an '@' behind the first '/', '?' or '#'. Either these belong to
	// the password, or the '@' belongs to the path or to a parameter.
	wide := s[:last]
	user, _, hasPassword := strings.Cut(wide, ":")
	wideHosts, _ := cutAuthority(s[last+1:])
	_, wideErr := parseHosts(wideHosts)
	wideOK := wideErr == nil && hasPassword && !strings.ContainsAny(user, "/?#")
	switch {
	case wideOK && plainErr != nil:
		return wide, s[last+1:], nil //nolint:nilerr // it only says which of two readings is right
	case wideOK:
		if len(plainHosts) < len(authority) && slices.ContainsFunc(plain, func(h Host) bool { return h.Port == "" }) {
			return wide, s[last+1:], nil
		}
		return "", "", invalidf("the URL can be read in two ways; write '@' in the path and in parameters as %%40, and '/', '?', '#' in the password as %%2F, %%3F, %%23")
	case len(plainHosts) < len(authority):
		return plainUser, s[len(plainUser)+1:], nil
	default:
		return "", s, nil
	}
}

// cutAuthority separates what stands before the path or the parameters.
func cutAuthority(s string) (authority, rest string) {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func parseHosts(s string) ([]Host, error) {
	if s == "" {
		return nil, invalidf("the URL names no host")
	}
	parts := strings.Split(s, ",")
	hosts := make([]Host, 0, len(parts))
	for i, part := range parts {
		h, err := parseHost(part)
		if err != nil {
			return nil, fmt.Errorf("%w (host %d of %d in the URL)", err, i+1, len(parts))
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

func parseHost(s string) (Host, error) {
	var name, port string
	if inner, ok := strings.CutPrefix(s, "["); ok {
		var after string
		if name, after, ok = strings.Cut(inner, "]"); !ok {
			return Host{}, invalidf("a '[' is not closed")
		}
		if n, err := url.PathUnescape(name); err == nil {
			name = n // the zone of a link-local address is written after %25
		}
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is6() {
			return Host{}, invalidf("brackets must hold an IPv6 address")
		}
		if after == "" {
			return Host{Name: name}, nil
		}
		if port, ok = strings.CutPrefix(after, ":"); !ok {
			return Host{}, invalidf("only a port may follow ']'")
		}
	} else {
		if strings.Count(s, ":") > 1 {
			return Host{}, invalidf("an IPv6 address must stand in brackets")
		}
		var hasPort bool
		name, port, hasPort = strings.Cut(s, ":")
		if name == "" {
			return Host{}, invalidf("a host is empty")
		}
		if strings.ContainsFunc(name, notInHostName) {
			return Host{}, invalidf("a host may consist of letters, digits, '-', '.' and '_' only")
		}
		if !hasPort {
			return Host{Name: name}, nil
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Host{}, invalidf("a port must be a number from 1 to 65535")
	}
	return Host{Name: name, Port: port}, nil
}

func notInHostName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

func parseQuery(s string) ([]Param, error) {
	var params []Param
	for part := range strings.SplitSeq(s, "&") {
		if part == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := url.PathUnescape(rawName)
		if err != nil || name == "" {
			return nil, invalidf("a parameter of the URL has no readable name")
		}
		value, err := url.PathUnescape(rawValue)
		if err != nil {
			return nil, invalidf("parameter %q has a '%%' that begins no code of two hex digits; write it as %%25", name)
		}
		params = append(params, Param{Name: name, Value: value})
	}
	return params, nil
}

func decodeLeniently(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// Params returns the parameters by name. One that is not among known, or that
// is given twice, is ErrInvalid; the error names the known ones.
func (a *Address) Params(known ...string) (map[string]string, error) {
	byName := make(map[string]string, len(a.Query))
	for _, p := range a.Query {
		if !slices.Contains(known, p.Name) {
			return nil, invalidf("unknown parameter %q of %s:// (known: %s)", p.Name, a.Scheme, strings.Join(known, ", "))
		}
		if _, twice := byName[p.Name]; twice {
			return nil, invalidf("parameter %q is given twice", p.Name)
		}
		byName[p.Name] = p.Value
	}
	return byName, nil
}

// HostPorts returns the hosts as net.Dial takes them, with defaultPort where
// none was given.
func (a *Address) HostPorts(defaultPort string) []string {
	list := make([]string, 0, len(a.Hosts))
	for _, h := range a.Hosts {
		port := h.Port
		if port == "" {
			port = defaultPort
		}
		list = append(list, net.JoinHostPort(h.Name, port))
	}
	return list
}

// String returns scheme, hosts and path, and never user, password or
// parameters.
func (a *Address) String() string {
	var b strings.Builder
	b.WriteString(a.Scheme + "://")
	for i, h := range a.Hosts {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case h.Port != "":
			b.WriteString(net.JoinHostPort(h.Name, h.Port))
		case strings.Contains(h.Name, ":"):
			b.WriteString("[" + h.Name + "]")
		default:
			b.WriteString(h.Name)
		}
	}
	if a.Path != "" {
		b.WriteString("/" + (&url.URL{Path: a.Path}).EscapedPath())
	}
	return b.String()
}

// GoString is String, so that %#v does not print the password either.
func (a *Address) GoString() string { return a.String() }

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", locker.ErrInvalid, fmt.Sprintf(format, args...))
}
