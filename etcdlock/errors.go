package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lockerlib/locker"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refused reports whether the server answered that it did not and will not
// carry a request out. Every other error leaves that open.
func refused(err error) bool {
	if e, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		switch e.Code() {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
			return false
		}
		return true
	}
	return false
}

// explain turns an error of etcd into what a Backend must return: final for
// what a person has to mend, ErrUnavailable for what may pass.
func explain(client *clientv3.Client, err error) error {
	if err == nil || errors.Is(err, locker.ErrUnavailable) {
		return err
	}
	at := "etcd at " + strings.Join(client.Endpoints(), ", ")
	err = rpctypes.Error(err)
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("%s: %w; check the user name and the password", at, err)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%s: %w; the server demands a user name and a password", at, err)
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("%s: %w; grant the user read and write on the keys that begin with the prefix and two slashes", at, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%s: %w; compact and defragment it, then disarm its alarm", at, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps),
		errors.Is(err, rpctypes.ErrLeaseTTLTooLarge), errors.Is(err, rpctypes.ErrCorrupt):
		return fmt.Errorf("%s: %w", at, err)
	}
	return fmt.Errorf("%w: %s: %w", locker.ErrUnavailable, at, plain(err))
}

// plain drops what gRPC puts around a message.
func plain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		return &grpcError{code: s.Code(), err: err, text: s.Message()}
	}
	return err
}

type grpcError struct {
	code codes.Code
	err  error
	text string
}

func (e *grpcError) Error() string { return fmt.Sprintf("%s (%s)", e.text, e.code) }
func (e *grpcError) Unwrap() error { return e.err }
