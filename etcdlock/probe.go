package etcdlock

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/lockerlib/locker"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// reach fails if no endpoint accepts a connection, and with TLS a handshake.
// The etcd client would go on trying, and in the end only say that time is up.
func (a *address) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.dialTimeout)
	defer cancel()
	errs := make([]error, len(a.endpoints))
	done := make(chan int, len(a.endpoints))
	for i, e := range a.endpoints {
		go func() {
			errs[i] = a.dial(ctx, e)
			done <- i
		}()
	}
	var failed []error
	for range a.endpoints {
		i := <-done
		if errs[i] == nil {
			return nil
		}
		failed = append(failed, errs[i])
	}
	return fmt.Errorf("%w: etcd cannot be reached: %w", locker.ErrUnavailable, errors.Join(failed...))
}

func (a *address) dial(ctx context.Context, endpoint string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return err // names the address
	}
	defer func() { _ = conn.Close() }()
	if a.tls == nil {
		return nil
	}
	c := a.tls.Clone()
	c.NextProtos = []string{"h2"}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(endpoint)
	}
	if err := tls.Client(conn, c).HandshakeContext(ctx); err != nil {
		if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
			return fmt.Errorf("%s does not speak TLS: write etcd:// if that is meant: %w", endpoint, err)
		}
		return fmt.Errorf("TLS with %s: %w", endpoint, err)
	}
	return nil
}

// failed says why opening failed, in words that tell what to do.
func (a *address) failed(ctx context.Context, client *clientv3.Client, err error) error {
	at := "etcd at " + strings.Join(a.endpoints, ", ")
	switch err = rpctypes.Error(err); {
	case refused(err) && client != nil:
		return explain(client, err)
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("%s: %w; check the user name and the password", at, err)
	case refused(err):
		return fmt.Errorf("%s: %w", at, err)
	}
	why := plain(err).Error()
	if a.tls == nil && a.speaksTLS() {
		why = "the server speaks TLS: write etcds://, with ca= if its certificate is not signed by a known authority"
	} else if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		why = "it accepts connections and does not answer in time; is this an etcd client port, and has the cluster a leader?"
	}
	return fmt.Errorf("%w: %s: %s: %w", locker.ErrUnavailable, at, why, err)
}

// speaksTLS reports whether an endpoint answers a TLS handshake. No data is
// exchanged, so its certificate does not matter.
func (a *address) speaksTLS() bool {
	var mu sync.Mutex
	found := false
	var wg sync.WaitGroup
	for _, e := range a.endpoints {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
			conn, err := d.DialContext(ctx, "tcp", e)
			if err != nil {
				// A server that demands our certificate speaks it, too.
				if _, alert := errors.AsType[tls.AlertError](err); !alert {
					return
				}
			} else {
				_ = conn.Close()
			}
			mu.Lock()
			found = true
			mu.Unlock()
		})
	}
	wg.Wait()
	return found
}
