package redislock

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// What a client of our own waits for. A call that hangs longer than this on a
// connection is not going to be answered on it; the engine tries again.
const (
	dialTimeout = 3 * time.Second
	ioTimeout   = 3 * time.Second
)

// tune sets what the URL left open.
func tune(o *redis.Options) {
	if o.DialTimeout == 0 {
		o.DialTimeout = dialTimeout
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = ioTimeout
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = ioTimeout
	}
	if o.MaxRetries == 0 {
		o.MaxRetries = -1 // see call.NoRetry; what little is sent besides is not worth it either
	}
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.PipelinePoolSize == 0 {
		o.PipelinePoolSize = -1 // pipelines are as small as single calls here; one pool is enough
	}
	o.Dialer = dialer(o.DialTimeout, o.TLSConfig)
}

// dialer connects, and never fails: it hands a connection to the pool on which
// everything fails with the reason. For a failure to dial, the pool writes to
// its process-wide log, which a library must not silence, and after several it
// refuses to try for up to a second, which would delay the recovery from an
// outage.
func dialer(timeout time.Duration, secure *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	plain := &net.Dialer{
		Timeout:         max(timeout, 0),
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	dial := plain.DialContext
	if secure != nil {
		// Unlike go-redis' own dialer, this one ends with its context.
		dial = (&tls.Dialer{NetDialer: plain, Config: secure}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout) // the handshake too
			defer cancel()
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return stillborn{err}, nil
		}
		return conn, nil
	}
}

// stillborn is a connection that could not be made.
type stillborn struct{ reason error }

func (s stillborn) Read([]byte) (int, error)       { return 0, s.reason }
func (s stillborn) Write([]byte) (int, error)      { return 0, s.reason }
func (stillborn) Close() error                     { return nil }
func (stillborn) LocalAddr() net.Addr              { return nowhere{} }
func (stillborn) RemoteAddr() net.Addr             { return nowhere{} }
func (stillborn) SetDeadline(time.Time) error      { return nil }
func (stillborn) SetReadDeadline(time.Time) error  { return nil }
func (stillborn) SetWriteDeadline(time.Time) error { return nil }

type nowhere struct{}

func (nowhere) Network() string { return "none" }
func (nowhere) String() string  { return "none" }
