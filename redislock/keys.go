package redislock

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lockerlib/locker"
)

// DefaultPrefix begins every key and channel unless WithPrefix says otherwise.
const DefaultPrefix = "locker:"

const maxPrefixLen = 256

// checkPrefix refuses braces, because the first pair of braces in a key chooses
// its slot in a cluster: that pair must be the one around the name. It also
// makes keys unambiguous: the prefix ends at the first brace.
func checkPrefix(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("%w: the prefix is empty", locker.ErrInvalid)
	case len(p) > maxPrefixLen:
		return fmt.Errorf("%w: the prefix has %d bytes, at most %d are allowed", locker.ErrInvalid, len(p), maxPrefixLen)
	case strings.ContainsAny(p, "{} "):
		return fmt.Errorf("%w: the prefix contains a brace or a space", locker.ErrInvalid)
	case !utf8.ValidString(p):
		return fmt.Errorf("%w: the prefix is not valid UTF-8", locker.ErrInvalid)
	}
	return nil
}

// keys are the keys of one name; see queue.lua.
type keys string

func keysOf(prefix, name string) keys {
	return keys(prefix + "{" + escape(name) + "}:")
}

func (k keys) hold() string          { return string(k) + "h" }
func (k keys) tenure() string        { return string(k) + "t" }
func (k keys) places() string        { return string(k) + "q" }
func (k keys) ends() string          { return string(k) + "d" }
func (k keys) waiters() string       { return string(k) + "w" }
func (k keys) broken() string        { return string(k) + "b" }
func (k keys) undo(id string) string { return string(k) + "u:" + id }

// queue returns the keys that every script which may hand over needs.
func (k keys) queue() []string {
	return append(make([]string, 0, 6), k.hold(), k.tenure(), k.places(), k.ends(), k.waiters())
}

// escape makes a name fit for the hash tag: no braces, and no control
// characters, which operators would have to type. It works byte by byte, so
// different names stay different, and a prefix of a name becomes a prefix.
func escape(name string) string {
	if !strings.ContainsFunc(name, escaped) {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; escaped(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func escaped(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '%' || r == '{' || r == '}'
}

// unescape undoes escape; ok is false for what escape never makes.
func unescape(s string) (name string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	name = b.String()
	return name, escape(name) == s
}

const upperHex = "0123456789ABCDEF"

// literal quotes s for the patterns of SCAN.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace

// nameOf takes the name out of the key of its hold. ok is false for a key that
// only looks like one.
func nameOf(prefix, key string) (name string, ok bool) {
	s, ok := strings.CutPrefix(key, prefix+"{")
	if !ok {
		return "", false
	}
	if s, ok = strings.CutSuffix(s, "}:h"); !ok {
		return "", false
	}
	name, ok = unescape(s)
	return name, ok && locker.CheckName(name) == nil
}
