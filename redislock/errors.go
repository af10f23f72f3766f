package redislock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/lockerlib/locker"
	"github.com/redis/go-redis/v9"
)

// A server is what errors say about the one that was asked.
type server struct {
	address string
	tls     bool
	secrets []string // what no error may contain
}

// fault turns an error of the client into one that names the server and says
// what to do. It is ErrUnavailable if a later attempt may succeed.
func (s server) fault(err error) error {
	if err == nil {
		return nil
	}
	advice, final := s.advice(err)
	cause := err
	if text := s.scrub(err.Error()); text != err.Error() {
		cause = errors.New(text) // the original could be printed by whoever unwraps it
	}
	if advice != "" {
		advice = " (" + advice + ")"
	}
	if final {
		return fmt.Errorf("redislock: redis at %s: %w%s", s.address, cause, advice)
	}
	return fmt.Errorf("%w: redis at %s: %w%s", locker.ErrUnavailable, s.address, cause, advice)
}

// advice says what to do about err, and whether trying again is pointless.
func (s server) advice(err error) (advice string, final bool) {
	var reply redis.Error
	if errors.As(err, &reply) {
		return adviceOnReply(reply)
	}
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case isDistrust(err):
		return "trust its certificate with ca=FILE, or name the host on it with server_name=", true
	case errors.As(err, &record):
		return "it does not speak TLS on this port: use redis:// instead of rediss://", true
	case errors.Is(err, redis.ErrClosed):
		return "the client was closed", true
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "all connections of the client are busy: raise its pool size", false
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		if s.tls {
			return "it did not answer in time: check the address, a firewall on the way, whether the server hangs, and use redis:// if it does not speak TLS on this port", false
		}
		return "it did not answer in time: check the address, a firewall on the way, and whether the server hangs", false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if s.tls {
			return "it hung up: check that this is a Redis port and its client certificate rules", false
		}
		return "it hung up: check that this is a Redis port, and use rediss:// if it speaks TLS", false
	}
	return "check that it runs and can be reached from here", false
}

// isDistrust reports whether the certificate of the server was refused.
func isDistrust(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

func adviceOnReply(err redis.Error) (advice string, final bool) {
	text := strings.TrimPrefix(err.Error(), "ERR ")
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "WRONGPASS", "NOAUTH":
		return "check user and password", true
	case "NOPERM":
		return "the user needs the commands eval, evalsha, publish, subscribe, scan and those in the scripts, on the keys that begin with the prefix and a brace, and on the channels that begin with the prefix and push:", true
	case "OOM":
		return "its memory is full: raise maxmemory or let something go", true
	case "MISCONF":
		return "it cannot save to disk and refuses writes", true
	case "LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "UNKILLABLE", "NOREPLICAS":
		return "it is not ready", false
	case "READONLY":
		return "it is a replica: the address must be that of the primary", false
	case "MOVED", "ASK", "CROSSSLOT":
		return "it belongs to a cluster, which is not offered yet", true
	}
	switch {
	case strings.HasPrefix(text, "max number of clients"):
		return "too many connections: raise maxclients", false
	case strings.HasPrefix(text, "invalid password"), strings.Contains(text, "without any password configured"):
		return "check user and password", true
	}
	return "", true
}

// scrub takes passwords out of a text. Servers that do not know a command
// repeat its arguments in their answer, and AUTH is a command.
func (s server) scrub(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "[password]")
	}
	return text
}
