package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/lockerlib/locker/testbed/images"
)

// A containerSpec is a server to run in a container.
type containerSpec struct {
	name       string
	kind       Kind
	image      string
	entrypoint string
	args       []string
	port       int
	ask        askVersion
	apart      bool // on a network of its own
}

// startContainer runs spec and waits until it answers. Nothing is left of a
// container that does not.
func startContainer(ctx context.Context, d *client.Client, spec containerSpec) (s *Server, err error) {
	sweepContainers(ctx, d)
	port := network.MustParsePort(strconv.Itoa(spec.port) + "/tcp")
	binding, err := bindingFor(d)
	if err != nil {
		return nil, err
	}
	var own *ownNetwork // nil: that of the daemon
	if spec.apart {
		if own, err = newNetwork(ctx, d); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, own.remove(ctx))
			}
		}()
	}
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: testcontainers.ContainerRequest{
			Image:        spec.image,
			Entrypoint:   []string{spec.entrypoint},
			Cmd:          spec.args,
			ExposedPorts: []string{port.String()},
			Labels:       map[string]string{ownerLabel: self().String()},
			HostConfigModifier: func(h *container.HostConfig) {
				h.PortBindings = network.PortMap{port: {binding}}
				own.host(h)
			},
			EndpointSettingsModifier: own.endpoints,
		},
		Logger:  tclog.NewNoopLogger(),
		Started: true,
	})
	if c != nil {
		defer func() {
			if err != nil {
				err = errors.Join(err, removeContainer(ctx, d, c.GetContainerID()))
			}
		}()
	}
	if err != nil {
		return nil, err
	}
	id := c.GetContainerID()
	ended := make(chan struct{})
	waiting, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	go awaitExit(waiting, d, id, ended)

	addrs, err := addressesOf(ctx, d, id, port)
	if err != nil {
		return nil, err
	}
	addr, version, err := awaitReady(ctx, spec.ask, ended, addrs...)
	if err != nil {
		return nil, err
	}
	return &Server{
		Name: spec.name, Addr: addr, Kind: spec.kind, Version: version,
		powers: containerPowers(d, id, addr, spec.ask, own),
	}, nil
}

// bindingFor publishes the port to this machine only, and under a fixed number:
// one that the daemon picks would be another after a restart. A daemon on
// another machine knows its own free ports, and must be reachable from here.
func bindingFor(d *client.Client) (network.PortBinding, error) {
	if remoteHost(d) != "" {
		return network.PortBinding{}, nil
	}
	port, err := freePort()
	return network.PortBinding{
		HostIP:   netip.AddrFrom4([4]byte{127, 0, 0, 1}),
		HostPort: strconv.Itoa(port),
	}, err
}

// remoteHost returns the host of a daemon that is reached over the network, or
// "".
func remoteHost(d *client.Client) string {
	u, err := url.Parse(d.DaemonHost())
	if err != nil || u.Scheme == "unix" || u.Scheme == "npipe" {
		return ""
	}
	return u.Hostname()
}

// addressesOf returns where the port may be reached. Which of them works is not
// asked of testcontainers, which takes being in a container for being next to
// the daemon's other containers; each is tried.
func addressesOf(ctx context.Context, d *client.Client, id string, port network.Port) ([]string, error) {
	info, err := d.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	if info.Container.NetworkSettings == nil {
		return nil, errors.New("the container has no network")
	}
	host := remoteHost(d)
	if host == "" {
		host = "127.0.0.1"
	}
	var addrs []string
	for _, b := range info.Container.NetworkSettings.Ports[port] {
		addrs = append(addrs, net.JoinHostPort(host, b.HostPort))
	}
	for _, n := range info.Container.NetworkSettings.Networks {
		if n.IPAddress.IsValid() {
			addrs = append(addrs, net.JoinHostPort(n.IPAddress.String(), strconv.Itoa(int(port.Num()))))
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("the container has no address: it may have ended at once")
	}
	return addrs, nil
}

func awaitExit(ctx context.Context, d *client.Client, id string, ended chan<- struct{}) {
	wait := d.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-wait.Result:
		close(ended)
	case err := <-wait.Error:
		if errdefs.IsNotFound(err) {
			close(ended)
		} // else cancelled, or the daemon is gone: the timeout will tell
	}
}

func containerPowers(d *client.Client, id, addr string, ask askVersion, own *ownNetwork) Powers {
	p := Powers{
		Pause: func(ctx context.Context) error {
			_, err := d.ContainerPause(ctx, id, client.ContainerPauseOptions{})
			return err
		},
		Resume: func(ctx context.Context) error {
			_, err := d.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
			return err
		},
		Kill: func(ctx context.Context) error {
			ended := d.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
			if _, err := d.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
				return err
			}
			select {
			case <-ended.Result:
				return nil
			case err := <-ended.Error:
				return err
			}
		},
		Restart: func(ctx context.Context) error {
			if _, err := d.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
				return err
			}
			_, _, err := awaitReady(ctx, ask, nil, addr)
			return err
		},
		stop: func() error {
			err := removeContainer(context.Background(), d, id)
			if own != nil {
				err = errors.Join(err, own.remove(context.Background()))
			}
			return errors.Join(err, d.Close())
		},
	}
	if own != nil {
		p.Disconnect = func(ctx context.Context) error { return own.disconnect(ctx, id) }
		p.Reconnect = func(ctx context.Context) error { return own.connect(ctx, id) }
	}
	return p
}

// removeContainer works also when ctx has ended: that is often why.
func removeContainer(ctx context.Context, d *client.Client, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	_, err := d.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing container %.12s: %w", id, err)
	}
	return nil
}

// inContainer gets an image and runs the server in it. The Docker client lives
// as long as the server.
func inContainer(ctx context.Context, image func(context.Context, *client.Client) (string, error), spec containerSpec) (*Server, error) {
	d, err := images.Docker(ctx)
	if err != nil {
		return nil, err
	}
	spec.image, err = image(ctx, d)
	if err == nil {
		var s *Server
		if s, err = startContainer(ctx, d, spec); err == nil {
			return s, nil
		}
	}
	_ = d.Close() // nothing runs on it
	return nil, err
}
