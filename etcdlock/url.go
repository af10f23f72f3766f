package etcdlock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

func init() {
	locker.Register("etcd", openURL)
	locker.Register("etcds", openURL)
}

// An address is a URL of this package, checked.
type address struct {
	endpoints   []string // host:port
	prefix      string   // "" if none was given
	mode        Mode
	hasMode     bool
	ttl         time.Duration // 0 if none was given
	dialTimeout time.Duration
	username    string
	password    string
	tls         *tls.Config // nil: without TLS
}

var parameters = []string{
	"mode", "ttl", "dial_timeout", "username", "password",
	"ca", "cert", "key", "server_name", "insecure_skip_verify",
}

const (
	defaultPort        = "2379"
	defaultDialTimeout = 5 * time.Second
	maxOpenTime        = 10 * time.Second
)

func parseURL(raw string) (*address, error) {
	u, err := driver.ParseAddress(raw)
	if err != nil {
		return nil, err
	}
	p, err := u.Params(parameters...)
	if err != nil {
		return nil, err
	}
	a := &address{
		endpoints: u.HostPorts(defaultPort), prefix: u.Path, dialTimeout: defaultDialTimeout,
		username: u.User, password: u.Password,
	}
	for _, name := range []string{"username", "password"} {
		if v, ok := p[name]; ok {
			if u.User != "" || u.HasPassword {
				return nil, invalidf("the URL has a user before '@' and the parameter %q; give one of them", name)
			}
			if name == "username" {
				a.username = v
			} else {
				a.password = v
			}
		}
	}
	if (a.username == "") != (a.password == "") {
		return nil, invalidf("the URL has a user name without a password, or the reverse; etcd needs both")
	}
	if v, ok := p["mode"]; ok {
		switch v {
		case Lease.String():
			a.mode = Lease
		case Session.String():
			a.mode = Session
		default:
			return nil, invalidf("parameter \"mode\" is %q (known: lease, session)", v)
		}
		a.hasMode = true
	}
	if err := duration(p, "ttl", locker.MaxTTL, &a.ttl); err != nil {
		return nil, err
	}
	if err := duration(p, "dial_timeout", time.Minute, &a.dialTimeout); err != nil {
		return nil, err
	}
	if a.prefix != "" {
		if _, err := newKeyspace(a.prefix); err != nil {
			return nil, err
		}
	}
	a.tls, err = tlsConfig(u.Scheme == "etcds", p)
	return a, err
}

func duration(p map[string]string, name string, most time.Duration, into *time.Duration) error {
	v, ok := p[name]
	if !ok {
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 || d > most {
		return invalidf("parameter %q must be a duration greater than 0 and at most %v, for instance \"15s\"", name, most)
	}
	*into = d
	return nil
}

// tlsConfig returns nil if the connection is not to be encrypted: the scheme is
// etcd and no file is given.
func tlsConfig(wanted bool, p map[string]string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: p["server_name"]}
	if path, ok := p["ca"]; ok {
		wanted = true
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, invalidf("parameter \"ca\": %v", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalidf("parameter \"ca\": there is no PEM certificate in %s", path)
		}
	}
	cert, hasCert := p["cert"]
	key, hasKey := p["key"]
	if hasCert != hasKey {
		return nil, invalidf("the parameters \"cert\" and \"key\" go together")
	}
	if hasCert {
		wanted = true
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, invalidf("parameters \"cert\" and \"key\": %v", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if v, ok := p["insecure_skip_verify"]; ok {
		skip, err := strconv.ParseBool(v)
		if err != nil {
			return nil, invalidf("parameter \"insecure_skip_verify\" must be true or false")
		}
		c.InsecureSkipVerify = skip
	}
	if !wanted {
		if c.ServerName != "" || c.InsecureSkipVerify {
			return nil, invalidf("\"server_name\" and \"insecure_skip_verify\" need TLS; write etcds://")
		}
		return nil, nil
	}
	return c, nil
}

// options puts what the URL says before what the caller says, which overrides.
func (a *address) options(opts []locker.OpenOption) []locker.OpenOption {
	var own []locker.OpenOption
	if a.prefix != "" {
		own = append(own, WithPrefix(a.prefix))
	}
	if a.hasMode {
		own = append(own, WithMode(a.mode))
	}
	if a.ttl > 0 {
		own = append(own, locker.WithDefaults(locker.WithTTL(a.ttl)))
	}
	return append(own, opts...)
}

// openURL is the locker.Opener of etcd and etcds.
func openURL(ctx context.Context, raw string, opts ...locker.OpenOption) (locker.Locker, error) {
	a, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	cfg, err := locker.ResolveOpen(a.options(opts)...)
	if err != nil {
		return nil, err
	}
	s, err := takeSettings(&cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, min(maxOpenTime, 2*a.dialTimeout))
	defer cancel()
	// Nobody nudges before there is a client.
	var client atomic.Pointer[clientv3.Client]
	dead := newDeadwatch(
		func(ctx context.Context) error { return a.answers(ctx, s.keys) },
		func(ctx context.Context) { nudge(ctx, client.Load(), s.keys) },
	)
	c, err := a.connect(ctx, dead)
	if err != nil {
		dead.close()
		return nil, err
	}
	client.Store(c)
	if err := ask(ctx, c, s.keys); err != nil {
		err = a.failed(ctx, c, err)
		dead.close()
		_ = closeClient(c) // err says more
		return nil, err
	}
	return newLocker(cfg, c, s, dead)
}

// ask reads under the prefix: that needs a leader, the password and permission.
func ask(ctx context.Context, client *clientv3.Client, keys keyspace) error {
	_, err := client.Get(ctx, keys.names(), clientv3.WithRange(rangeEnd(keys.names())), clientv3.WithLimit(1), clientv3.WithKeysOnly())
	return err
}

// nudge asks each connection of client for what a member knows by itself. The
// balancer goes round, and others are asking too: twice round reaches all.
func nudge(ctx context.Context, client *clientv3.Client, keys keyspace) {
	if client == nil {
		return
	}
	var all sync.WaitGroup
	for range 2 * len(client.Endpoints()) {
		all.Go(func() {
			_, _ = client.Get(ctx, keys.names(), clientv3.WithSerializable(), clientv3.WithCountOnly()) // whatever it says, it says something
		})
	}
	all.Wait()
}

// answers asks over connections of its own.
func (a *address) answers(ctx context.Context, keys keyspace) error {
	client, err := clientv3.New(a.config(ctx))
	if err != nil {
		return err
	}
	err = ask(ctx, client, keys)
	_ = closeClient(client) // it was asked, that is all it was for
	return err
}

// config is that of a client which lives as long as ctx.
func (a *address) config(ctx context.Context) clientv3.Config {
	return clientv3.Config{
		Context:              ctx,
		Endpoints:            a.urls(),
		DialTimeout:          a.dialTimeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		TLS:                  a.tls,
		Username:             a.username,
		Password:             a.password,
		Logger:               zap.NewNop(),
	}
}

// connect makes a client whose connections dead watches. It asks the server for
// a token if there is a password.
func (a *address) connect(ctx context.Context, dead *deadwatch) (*clientv3.Client, error) {
	if err := a.reach(ctx); err != nil {
		return nil, err
	}
	// The client lives on when ctx has ended, but must not outlive it here.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	config := a.config(life)
	secure := insecure.NewCredentials()
	if a.tls != nil {
		secure = credentials.NewTLS(a.tls.Clone())
	}
	config.DialOptions = []grpc.DialOption{grpc.WithTransportCredentials(watchedCredentials{secure, dead})}
	client, err := clientv3.New(config)
	if !stop() && err == nil {
		_ = closeClient(client) // err says more
		err = context.Cause(ctx)
	}
	if err != nil {
		end()
		return nil, a.failed(ctx, nil, err)
	}
	return client, nil
}

func (a *address) urls() []string {
	scheme := "http"
	if a.tls != nil {
		scheme = "https"
	}
	urls := make([]string, len(a.endpoints))
	for i, e := range a.endpoints {
		urls[i] = fmt.Sprintf("%s://%s", scheme, e)
	}
	return urls
}
