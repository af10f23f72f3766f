package redislock

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
	"github.com/redis/go-redis/v9"
)

const secret = "hunter2/?#@:%"

func wantOpenError(t *testing.T, rawURL, address, say string) error {
	t.Helper()
	l, err := locker.Open(t.Context(), rawURL)
	if err == nil {
		l.Close()
		t.Fatalf("opened")
	}
	text := err.Error()
	if !strings.Contains(text, address) || !strings.Contains(text, say) {
		t.Errorf("the error is %q; want the address %s and %q in it", text, address, say)
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("the error has the password in it: %q", text)
	}
	return err
}

func TestOpen(t *testing.T) {
	address := startServer(t, "--requirepass", secret)
	for _, form := range []string{secret, url.QueryEscape(secret)} {
		l, err := locker.Open(t.Context(), "redis://:"+form+"@"+address+"/3?prefix="+url.QueryEscape(newPrefix()))
		if err != nil {
			t.Fatalf("password %s: %v", form, err)
		}
		if r, ok := locker.As[*Locker](l); !ok || r.Client() == nil {
			t.Error("the Locker is not a *redislock.Locker with a client")
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	wantOpenError(t, "redis://:hunter2wrong@"+address, address, "check user and password")
	wantOpenError(t, "redis://nobody:"+secret+"@"+address, address, "check user and password")
	wantOpenError(t, "redis://"+address, address, "check user and password")
}

func TestOpenUnreachable(t *testing.T) {
	address := "127.0.0.1:" + freePort(t)
	err := wantOpenError(t, "redis://:"+secret+"@"+address, address, "check that it runs")
	if !errors.Is(err, locker.ErrUnavailable) {
		t.Errorf("%v is not ErrUnavailable", err)
	}
}

func TestOpenOnAServerThatIsSilent(t *testing.T) {
	address := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	err := wantOpenError(t, "redis://:"+secret+"@"+address+"?read_timeout=50ms", address, "did not answer in time")
	if !errors.Is(err, locker.ErrUnavailable) {
		t.Errorf("%v is not ErrUnavailable", err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	time.AfterFunc(20*time.Millisecond, func() { cancel(reason) })
	if _, err := locker.Open(ctx, "redis://"+address); !errors.Is(err, reason) || !strings.Contains(err.Error(), address) {
		t.Errorf("with a context that ended: %v", err)
	}
}

func TestOpenOnSomethingElse(t *testing.T) {
	address := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	wantOpenError(t, "redis://:"+secret+"@"+address, address, "")
	address = listen(t, func(c net.Conn) {})
	wantOpenError(t, "redis://:"+secret+"@"+address, address, "")

	// A server that repeats what it did not understand, password included.
	address = listen(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			line := strings.NewReplacer("\r", " ", "\n", " ").Replace(string(buf[:n]))
			_, _ = io.WriteString(c, "-ERR unknown command, with args beginning with: "+line+"\r\n")
		}
	})
	wantOpenError(t, "redis://:"+secret+"@"+address, address, "[password]")
}

func TestOpenOnAReplica(t *testing.T) {
	primary := startServer(t)
	host, port, _ := net.SplitHostPort(primary)
	address := startServer(t, "--replicaof", host, port)
	wantOpenError(t, "redis://"+address, address, "primary")
}

func TestTLS(t *testing.T) {
	plain := startServer(t, "--requirepass", secret)
	ca, config := certificate(t)
	address := listenTLS(t, config, plain)

	l, err := locker.Open(t.Context(), "rediss://:"+secret+"@"+address+"?ca="+url.QueryEscape(ca))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if l, err = locker.Open(t.Context(), "rediss://:"+secret+"@"+address+"?insecure_skip_verify=true"); err != nil {
		t.Error(err)
	} else {
		l.Close()
	}
	wantOpenError(t, "rediss://:"+secret+"@"+address, address, "ca=")
	wantOpenError(t, "rediss://:"+secret+"@"+address+"?server_name=other&ca="+url.QueryEscape(ca), address, "server_name=")
	wantOpenError(t, "rediss://:"+secret+"@"+plain+"?dial_timeout=200ms", plain, "redis://")
	wantOpenError(t, "redis://:"+secret+"@"+address, address, "rediss://")
}

func TestNewRefuses(t *testing.T) {
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer cluster.Close()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer ring.Close()
	for _, client := range []redis.UniversalClient{nil, (*redis.Client)(nil), cluster, ring} {
		if _, err := New(client); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("New(%T): %v, want ErrInvalid", client, err)
		}
	}
	if _, err := New(newClient(t, "127.0.0.1:1"), locker.WithBackend("other", 1)); !errors.Is(err, locker.ErrInvalid) {
		t.Errorf("New with the option of another backend: %v, want ErrInvalid", err)
	}
}

func TestCloseLeavesTheClientOpen(t *testing.T) {
	client := newClient(t, testAddress(t))
	l, err := New(client, WithPrefix(newPrefix()))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(testContext(t)).Err(); err != nil {
		t.Errorf("after Close the client says %v", err)
	}
}

// listen runs a server that treats each connection with serve and then closes it.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return accept(t, l, serve)
}

func accept(t *testing.T, l net.Listener, serve func(net.Conn)) (address string) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// listenTLS puts TLS in front of a server.
func listenTLS(t *testing.T, config *tls.Config, behind string) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	return accept(t, l, func(c net.Conn) {
		server, err := net.Dial("tcp", behind)
		if err != nil {
			return
		}
		defer server.Close()
		go func() {
			_, _ = io.Copy(c, server)
			c.Close()
		}()
		_, _ = io.Copy(server, c)
	})
}

// certificate makes one for 127.0.0.1 that is its own authority, in a file.
func certificate(t *testing.T) (file string, config *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
