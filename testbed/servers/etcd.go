package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/moby/moby/client"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/lockerlib/locker/testbed/images"
)

func etcdSources(o Options) []source {
	return []source{
		{Environment, func(ctx context.Context) (*Server, error) {
			return fromEnvironment(ctx, EtcdName, EnvEtcd, EnvEtcdKind, etcdVersion)
		}},
		{ContainerImage, func(ctx context.Context) (*Server, error) {
			return inContainer(ctx, func(ctx context.Context, d *client.Client) (string, error) {
				return images.Public(ctx, d, images.EtcdPublic)
			}, etcdContainer(ContainerImage, "/usr/local/bin/etcd", o))
		}},
		{ContainerBuilt, func(ctx context.Context) (*Server, error) {
			return inContainer(ctx, func(ctx context.Context, d *client.Client) (string, error) {
				binary, err := images.EtcdBinary(ctx)
				if err != nil {
					return "", err
				}
				return images.Etcd(ctx, d, binary)
			}, etcdContainer(ContainerBuilt, "/etcd", o))
		}},
		{LocalBinary, func(ctx context.Context) (*Server, error) { return localEtcd(ctx, o) }},
		{Embedded, embeddedEtcd},
	}
}

func etcdContainer(kind Kind, entrypoint string, o Options) containerSpec {
	const port = 2379
	return containerSpec{
		name: EtcdName, kind: kind, entrypoint: entrypoint, port: port, ask: etcdVersion, apart: o.Apart,
		args: append(etcdArgs("0.0.0.0", port, 2380, "/tmp/etcd"), o.Args...),
	}
}

func etcdArgs(host string, port, peerPort int, dir string) []string {
	clients := fmt.Sprintf("http://%s:%d", host, port)
	peers := fmt.Sprintf("http://127.0.0.1:%d", peerPort)
	return []string{
		"--data-dir", dir,
		"--listen-client-urls", clients, "--advertise-client-urls", clients,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
		"--initial-cluster", "default=" + peers,
		"--log-level", "error",
	}
}

// localEtcd runs the etcd of the PATH if it is recent, else the one that is
// built from source. A distribution's is often years old, and lacks the lease
// fixes on which the promises rest.
func localEtcd(ctx context.Context, o Options) (*Server, error) {
	binary, err := etcdBinary(ctx)
	if err != nil {
		return nil, err
	}
	return startProcess(ctx, processSpec{
		name: EtcdName, binary: binary, ask: etcdVersion, env: o.env,
		args: func(port, peerPort int, dir string) []string {
			return append(etcdArgs("127.0.0.1", port, peerPort, dir), o.Args...)
		},
	})
}

func etcdBinary(ctx context.Context) (string, error) {
	inPath, err := exec.LookPath("etcd")
	if err == nil {
		if err = recentEtcd(ctx, inPath); err == nil {
			return inPath, nil
		}
	}
	built, buildErr := images.EtcdBinary(ctx)
	if buildErr != nil {
		return "", errors.Join(err, buildErr)
	}
	return built, nil
}

// minEtcdMinor is the oldest etcd 3.x that tests are run with.
const minEtcdMinor = 6

func recentEtcd(ctx context.Context, binary string) error {
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", binary, err)
	}
	_, rest, _ := strings.Cut(string(out), "etcd Version: ")
	version, _, _ := strings.Cut(rest, "\n")
	parts := strings.Split(strings.TrimSpace(version), ".")
	if len(parts) == 3 && parts[0] == "3" {
		if minor, err := strconv.Atoi(parts[1]); err == nil && minor >= minEtcdMinor {
			return nil
		}
	}
	return fmt.Errorf("%s has version %q, older than 3.%d", binary, version, minEtcdMinor)
}

func embeddedEtcd(ctx context.Context) (_ *Server, err error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	peerPort, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	clients := url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	peers := url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", peerPort)}
	cfg := embed.NewConfig()
	cfg.Dir = dir
	// Stopping it logs errors, and whether it works is seen by asking it.
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{clients}, []url.URL{clients}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peers}, []url.URL{peers}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop := func() error {
		etcd.Close()
		return os.RemoveAll(dir)
	}
	_, version, err := awaitReady(ctx, etcdVersion, etcd.Server.StopNotify(), clients.Host)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &Server{
		Name: EtcdName, Addr: clients.Host, Kind: Embedded, Version: version,
		powers: Powers{stop: stop},
	}, nil
}
