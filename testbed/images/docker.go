package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// dockerAnswer bounds how long a Docker daemon that does not answer is waited
// for.
const dockerAnswer = 5 * time.Second

var quieten = sync.OnceFunc(func() {
	// Its messages are about itself; what servers are used is said by whoever
	// asks for them.
	tclog.SetDefault(tclog.NewNoopLogger())
	// testcontainers removes what dead processes left by a container of its
	// own, whose image cannot be had everywhere. This module labels its
	// containers and removes those of dead processes itself, so that there is
	// one way that works in every place. The variable is read once, on first
	// use.
	_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true") // fails for impossible names only
})

// Docker connects to the Docker daemon, found as testcontainers finds it
// (DOCKER_HOST, the current context, the usual sockets), and says why there is
// none.
func Docker(ctx context.Context) (d *client.Client, err error) {
	quieten()
	ctx, cancel := context.WithTimeout(ctx, dockerAnswer)
	defer cancel()
	// Some ways of not finding a daemon end in a panic there.
	defer func() {
		if r := recover(); r != nil {
			d, err = nil, fmt.Errorf("no Docker daemon: %v", r)
		}
	}()
	tc, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("no Docker daemon: %w", firstLine(err))
	}
	if _, err := tc.Client.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		_ = tc.Close() // nothing was done with it
		return nil, fmt.Errorf("the Docker daemon does not answer: %w", firstLine(err))
	}
	return tc.Client, nil
}

// Bounds of a pull: a registry that is not there, or a transfer that has
// stalled, is given up after pullSilence, and a slow one after pullWhole.
const (
	pullSilence = 10 * time.Second
	pullWhole   = 3 * time.Minute
)

// refused remembers, for this process, what could not be pulled.
var refused sync.Map // reference -> error

// Public returns the first of refs that is on the machine, or else the first
// that can be pulled. It does not ask twice for an image that it did not get.
func Public(ctx context.Context, d *client.Client, refs []string) (string, error) {
	for _, ref := range refs {
		if Present(ctx, d, ref) {
			return ref, nil
		}
	}
	var errs []error
	for _, ref := range refs {
		if err, known := refused.Load(ref); known {
			errs = append(errs, err.(error))
			continue
		}
		err := pull(ctx, d, ref)
		if err == nil {
			return ref, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		err = fmt.Errorf("%s cannot be pulled: %w", ref, firstLine(err))
		refused.Store(ref, err)
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// Present reports whether the image is on the machine.
func Present(ctx context.Context, d *client.Client, ref string) bool {
	_, err := d.ImageInspect(ctx, ref)
	return err == nil
}

var errSilence = fmt.Errorf("the registry was silent for %v", pullSilence)

func pull(ctx context.Context, d *client.Client, ref string) error {
	ctx, stop := context.WithTimeout(ctx, pullWhole)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(pullSilence, func() { cancel(errSilence) })
	defer silence.Stop()

	progress, err := d.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return cause(ctx, err)
	}
	defer func() { _ = progress.Close() }() // read to its end, or given up
	for message, err := range progress.JSONMessages(ctx) {
		if err != nil {
			return cause(ctx, err)
		}
		if message.Error != nil {
			return message.Error
		}
		silence.Reset(pullSilence)
	}
	return cause(ctx, nil)
}

func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// firstLine shortens errors that tell a story in paragraphs.
func firstLine(err error) error {
	line, _, more := strings.Cut(err.Error(), "\n")
	if !more {
		return err
	}
	return errors.New(line)
}
