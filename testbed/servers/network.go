package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/lockerlib/locker/testbed/images"
)

// NoNetworks says why no server can be started that can be taken off its
// network here, or is nil. It asks the Docker daemon once.
var NoNetworks = sync.OnceValue(func() error {
	if runtime.GOOS != "linux" {
		return errors.New("the addresses of containers are reached on Linux only")
	}
	d, err := images.Docker(context.Background())
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // it was only asked
	if host := remoteHost(d); host != "" {
		return fmt.Errorf("the addresses of containers are not reached from here: the Docker daemon is on %s", host)
	}
	return nil
})

// An ownNetwork has one container, at an address that stays the same. It is
// internal: no port is published, which would reach the container through a
// process of the daemon that ends, and tells clients so, with the connection.
type ownNetwork struct {
	d    *client.Client
	id   string
	name string
	addr netip.Addr
}

// newNetwork makes a network. The daemon accepts a fixed address only where the
// subnet was asked for, so a network is made to learn which one is free, and
// then made again. Another process may be quicker in between.
func newNetwork(ctx context.Context, d *client.Client) (*ownNetwork, error) {
	const tries = 5
	var errs []error
	for range tries {
		n, err := tryNetwork(ctx, d)
		if err == nil {
			return n, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("no network for a container: %w", errors.Join(errs...))
}

func tryNetwork(ctx context.Context, d *client.Client) (*ownNetwork, error) {
	probe, err := createNetwork(ctx, d, self().String(), nil)
	if err != nil {
		return nil, err
	}
	info, err := d.NetworkInspect(ctx, probe.id, client.NetworkInspectOptions{})
	if err = errors.Join(err, probe.remove(ctx)); err != nil {
		return nil, err
	}
	for _, c := range info.Network.IPAM.Config {
		if !c.Subnet.Addr().Is4() {
			continue
		}
		n, err := createNetwork(ctx, d, self().String(), &network.IPAM{Config: []network.IPAMConfig{{Subnet: c.Subnet}}})
		if err != nil {
			return nil, err
		}
		n.addr = c.Subnet.Masked().Addr().Next().Next() // the first one is the gateway
		return n, nil
	}
	return nil, errors.New("the daemon gave no subnet")
}

func createNetwork(ctx context.Context, d *client.Client, owner string, ipam *network.IPAM) (*ownNetwork, error) {
	name := "locker-testbed-" + strings.ToLower(rand.Text())
	made, err := d.NetworkCreate(ctx, name, client.NetworkCreateOptions{
		Driver: "bridge", Internal: true, IPAM: ipam,
		Labels: map[string]string{ownerLabel: owner},
	})
	if err != nil {
		return nil, err
	}
	return &ownNetwork{d: d, id: made.ID, name: name}, nil
}

// host has a container begin on the network, and on no other. A nil network
// changes nothing.
func (n *ownNetwork) host(h *container.HostConfig) {
	if n != nil {
		h.NetworkMode, h.PortBindings = container.NetworkMode(n.name), nil
	}
}

// endpoints is host for the address.
func (n *ownNetwork) endpoints(settings map[string]*network.EndpointSettings) {
	if n != nil {
		settings[n.name] = n.endpoint()
	}
}

func (n *ownNetwork) endpoint() *network.EndpointSettings {
	return &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: n.addr}}
}

func (n *ownNetwork) disconnect(ctx context.Context, container string) error {
	_, err := n.d.NetworkDisconnect(ctx, n.id, client.NetworkDisconnectOptions{Container: container})
	return err
}

func (n *ownNetwork) connect(ctx context.Context, container string) error {
	_, err := n.d.NetworkConnect(ctx, n.id, client.NetworkConnectOptions{Container: container, EndpointConfig: n.endpoint()})
	return err
}

// remove works also when ctx has ended, and after the container was removed.
func (n *ownNetwork) remove(ctx context.Context) error { return removeNetwork(ctx, n.d, n.id) }

func removeNetwork(ctx context.Context, d *client.Client, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	_, err := d.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing network %.12s: %w", id, err)
	}
	return nil
}
