package memlock

import (
	"github.com/lockerlib/locker/txn"
	"github.com/lockerlib/locker/txn/memtxn"
)

var _ txn.Provider = (*Client)(nil)

// TxnStore returns the keys of the server, reached over the link of this
// client, so that its faults are those of the transactions too. It implements
// txn.Provider.
func (c *Client) TxnStore() (txn.Store, error) { return memtxn.Over(c.server, c.Send), nil }
