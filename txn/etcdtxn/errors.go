package etcdtxn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/txn"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failed makes the error for a request that wrote nothing and will not.
func (s *Store) failed(ctx context.Context, err error) error {
	at := strings.Join(s.client.Endpoints(), ", ")
	switch {
	case errors.Is(err, locker.ErrClosed):
		return err
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("%w: etcdtxn: the transaction has more keys than etcd at %s takes in one (--max-txn-ops, 128 by default): %w", locker.ErrInvalid, at, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), tooLarge(err):
		return fmt.Errorf("%w: etcdtxn: the transaction has more bytes than etcd at %s takes in one (--max-request-bytes, 1.5 MiB by default): %w", locker.ErrInvalid, at, err)
	case ctx.Err() != nil:
		return contextError(ctx)
	case unanswered(err), errors.Is(err, rpctypes.ErrTooManyRequests):
		return fmt.Errorf("%w: etcd at %s did not answer: %w", locker.ErrUnavailable, at, err)
	}
	return fmt.Errorf("etcdtxn: etcd at %s refused: %w", at, err)
}

// unknown makes the error for a commit that may have been applied, or may be.
func (s *Store) unknown(ctx context.Context, why error) error {
	if ctx.Err() != nil {
		why = fmt.Errorf("%w: %w", contextError(ctx), why)
	}
	return fmt.Errorf("%w: %w: etcd at %s: %w", txn.ErrUnknown, locker.ErrUnavailable,
		strings.Join(s.client.Endpoints(), ", "), why)
}

// unanswered reports whether err leaves open what became of a request. All but
// what the server says about the request itself does.
func unanswered(err error) bool {
	switch codeOf(err) {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.Unauthenticated, codes.FailedPrecondition, codes.OutOfRange,
		codes.ResourceExhausted, codes.Unimplemented:
		return false
	}
	return true
}

func codeOf(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		return e.Code()
	}
	return status.Code(err)
}

// tooLarge reports whether the client itself refused to send.
func tooLarge(err error) bool {
	_, fromServer := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err))
	return !fromServer && codeOf(err) == codes.ResourceExhausted
}

func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
