package txn

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/lockerlib/locker"
)

// Match them with errors.Is, beside those of package locker.
var (
	// ErrNoKey: the key that was read is missing.
	ErrNoKey = errors.New("txn: no such key")
	// ErrConflict: what a transaction read was changed before it could commit.
	// Update and View retry by themselves; it is seen, beside the error of the
	// context, when they ran out of time.
	ErrConflict = errors.New("txn: conflict with another transaction")
	// ErrUnknown: the server did not tell whether a commit was applied, and it
	// could not be settled in time: the writes may be there, may come later, or
	// never. It always comes together with locker.ErrUnavailable.
	ErrUnknown = errors.New("txn: the outcome of the commit is unknown")
	// ErrDone: a Tx or Reader was used after its function had returned.
	ErrDone = errors.New("txn: the transaction has ended")
)

// MaxKeyLen is the greatest length of a key in bytes.
const MaxKeyLen = 4096

// CheckKey returns locker.ErrInvalid unless key may be read and written: UTF-8
// of 1 to 4096 bytes. Values may be any bytes, up to what the server takes
// (etcd: 1.5 MiB for a whole commit).
func CheckKey(key string) error {
	switch {
	case key == "":
		return invalidf("the key is empty")
	case len(key) > MaxKeyLen:
		return invalidf("the key has %d bytes, at most %d are allowed", len(key), MaxKeyLen)
	case !utf8.ValidString(key):
		return invalidf("the key is not valid UTF-8")
	}
	return nil
}

func checkKeys(keys []string) error {
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	return nil
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: txn: %s", locker.ErrInvalid, fmt.Sprintf(format, args...))
}
