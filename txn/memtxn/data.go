package memtxn

import "github.com/lockerlib/locker/txn"

// bag is the key of the data in Values.
type bag struct{}

type data struct {
	revision int64 // of the last commit that wrote; one counter for all keys
	entries  map[string]txn.Entry
}

// read returns the Entry of a missing key too.
func (d *data) read(key string) txn.Entry {
	e := d.entries[key]
	e.Key = key
	return e
}

// apply judges the conditions, reads, and then writes.
func (d *data) apply(c txn.Commit) txn.Result {
	res := txn.Result{Succeeded: true}
	for _, cond := range c.If {
		res.Succeeded = res.Succeeded && cond.Holds(d.read(cond.Key))
	}
	ops := c.Then
	if !res.Succeeded {
		ops = c.Else
	}
	for _, op := range ops {
		if op.Kind == txn.OpGet {
			res.Reads = append(res.Reads, d.read(op.Key))
		}
	}
	next := d.revision + 1
	for _, op := range ops {
		switch op.Kind {
		case txn.OpPut:
			d.entries[op.Key] = txn.Entry{Key: op.Key, Value: op.Value, ModRevision: next}
			d.revision = next
		case txn.OpDelete:
			delete(d.entries, op.Key)
			d.revision = next
		}
	}
	return res
}
