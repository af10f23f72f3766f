package etcdlock

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lockerlib/locker"
)

const (
	defaultPrefix = "locker"
	maxPrefixLen  = 512
)

// A keyspace lays out the keys of one prefix:
//
//	PREFIX//v1/NAME/CLAIM      a claim; the one with the least create revision holds NAME
//	PREFIX//v1u/CLAIM          CLAIM was undone and must not come into being any more
//	PREFIX//v1c/CLIENT/CLAIM   CLAIM, which was CLIENT's, was broken
//
// A prefix holds no "//", so that no two prefixes share a key, and an escaped
// name holds no '/', so that no name is the beginning of another's range.
type keyspace struct{ prefix string }

func newKeyspace(prefix string) (keyspace, error) {
	switch {
	case prefix == "":
		prefix = defaultPrefix
	case len(prefix) > maxPrefixLen:
		return keyspace{}, invalidf("the prefix has %d bytes, at most %d are allowed", len(prefix), maxPrefixLen)
	case !utf8.ValidString(prefix):
		return keyspace{}, invalidf("the prefix is not valid UTF-8")
	case strings.Contains(prefix, "//"):
		return keyspace{}, invalidf("the prefix %q has an empty part (\"//\")", prefix)
	case strings.HasSuffix(prefix, "/"):
		return keyspace{}, invalidf("the prefix %q ends with '/'", prefix)
	case strings.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return keyspace{}, invalidf("the prefix %q has a control character", prefix)
	}
	return keyspace{prefix: prefix}, nil
}

func (k keyspace) names() string { return k.prefix + "//v1/" }

// line is what every claim of name begins with, and nothing else does.
func (k keyspace) line(name string) string { return k.names() + escape(name) + "/" }

func (k keyspace) claim(name, id string) string { return k.line(name) + id }

func (k keyspace) undo(id string) string { return k.prefix + "//v1u/" + id }

func (k keyspace) notices(client string) string { return k.prefix + "//v1c/" + client + "/" }

// parse takes the key of a claim apart.
func (k keyspace) parse(key string) (name, id string, ok bool) {
	rest, ok := strings.CutPrefix(key, k.names())
	if !ok {
		return "", "", false
	}
	escaped, id, ok := strings.Cut(rest, "/")
	if !ok {
		return "", "", false
	}
	name, ok = unescape(escaped)
	return name, id, ok
}

// escape makes s free of '/' and of control characters. Each byte becomes
// itself or '%' with two hex digits, so no two texts become the same, and one
// text begins with another exactly if it does so when both are escaped.
func escape(s string) string {
	n := 0
	for i := range len(s) {
		if mustEscape(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; mustEscape(c) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustEscape(c byte) bool { return c == '%' || c == '/' || c < ' ' || c == 0x7f }

// unescape undoes escape. ok is false for a text that escape does not make,
// which others may have put under the prefix.
func unescape(s string) (name string, ok bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, s != ""
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02X", &c); err != nil {
				return "", false
			}
			i += 2
		}
		b.WriteByte(c)
	}
	name = b.String()
	return name, escape(name) == s
}

// rangeEnd is the end of the range of all keys that begin with prefix, which
// must end with a byte below 0xff.
func rangeEnd(prefix string) string {
	last := len(prefix) - 1
	return prefix[:last] + string([]byte{prefix[last] + 1})
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: etcdlock: %s", locker.ErrInvalid, fmt.Sprintf(format, args...))
}
