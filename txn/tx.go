package txn

import (
	"context"
	"fmt"
	"slices"
)

// A Reader reads keys as they were at one instant. It is for the goroutine that
// runs the function it was given to, and only until that returns (ErrDone).
type Reader interface {
	// Get returns the value of key, or ErrNoKey if it is missing. Any other
	// error dooms this attempt: whatever the function makes of it, the
	// transaction is retried, or fails with that error.
	Get(ctx context.Context, key string) (string, error)

	// GetAll returns the values of those of keys that exist, and asks the
	// server once for all of them. Keys that were read before, by Get or
	// GetAll, cost nothing.
	GetAll(ctx context.Context, keys ...string) (map[string]string, error)
}

// A Tx is one attempt of a transaction. Its reads see its own writes.
type Tx interface {
	Reader
	// Put sets key to value at commit. A bad key fails the commit.
	Put(key, value string)
	// Delete removes key at commit; a missing key is no error.
	Delete(key string)
}

// tx is both a Tx and, for View, a Reader.
type tx struct {
	snapshot Snapshot
	reads    map[string]Entry
	writes   map[string]Op
	foresee  []string         // keys to read together with the first one
	foreseen map[string]Entry // what they were; a read once it is asked for
	failed   error            // what doomed the attempt
	done     bool
}

var _ Tx = (*tx)(nil)

// newTx begins an attempt that will most likely read what the last one did, so
// that it reads all of that at once.
func newTx(s Store, last *tx) *tx {
	t := &tx{snapshot: s.Snapshot(), reads: make(map[string]Entry), writes: make(map[string]Op)}
	if last != nil {
		t.foresee = sortedKeys(last.reads)
	}
	return t
}

func (t *tx) Get(ctx context.Context, key string) (string, error) {
	if err := t.fetch(ctx, key); err != nil {
		return "", err
	}
	v, ok := t.now(key)
	if !ok {
		return "", fmt.Errorf("%w: %q", ErrNoKey, key)
	}
	return v, nil
}

func (t *tx) GetAll(ctx context.Context, keys ...string) (map[string]string, error) {
	if err := t.fetch(ctx, keys...); err != nil {
		return nil, err
	}
	found := make(map[string]string, len(keys))
	for _, k := range keys {
		if v, ok := t.now(k); ok {
			found[k] = v
		}
	}
	return found, nil
}

func (t *tx) Put(key, value string) { t.write(Put(key, value)) }

func (t *tx) Delete(key string) { t.write(Delete(key)) }

func (t *tx) write(op Op) {
	if t.done {
		// There is nobody left to tell, and a lost write must not go unseen.
		panic("txn: a Tx was written to after its function had returned")
	}
	if err := CheckKey(op.Key); err != nil {
		_ = t.fail(err) // the commit tells
		return
	}
	t.writes[op.Key] = op
}

// now is key as the transaction sees it, own writes included.
func (t *tx) now(key string) (string, bool) {
	if op, ok := t.writes[key]; ok {
		return op.Value, op.Kind == OpPut
	}
	e := t.reads[key]
	return e.Value, e.Exists()
}

// fetch reads those of keys that are not known yet.
func (t *tx) fetch(ctx context.Context, keys ...string) error {
	switch {
	case t.done:
		return ErrDone
	case t.failed != nil:
		return t.failed
	case ctx == nil:
		return t.fail(invalidf("the context is nil"))
	}
	if err := checkKeys(keys); err != nil {
		return t.fail(err)
	}
	var missing []string
	for _, k := range keys {
		_, read := t.reads[k]
		_, written := t.writes[k]
		if !read && !written && !slices.Contains(missing, k) {
			missing = append(missing, k)
		}
	}
	missing = slices.DeleteFunc(missing, t.recall)
	if len(missing) == 0 {
		return nil
	}
	asked := len(missing)
	for _, k := range t.foresee {
		if !slices.Contains(missing, k) {
			missing = append(missing, k)
		}
	}
	t.foresee = nil
	entries, err := t.snapshot.Read(ctx, missing...)
	if err != nil {
		return t.fail(err)
	}
	for i, e := range entries {
		if i < asked {
			t.reads[e.Key] = e
			continue
		}
		if t.foreseen == nil {
			t.foreseen = make(map[string]Entry, len(entries))
		}
		t.foreseen[e.Key] = e
	}
	return nil
}

// recall makes key a read if it was foreseen.
func (t *tx) recall(key string) bool {
	e, ok := t.foreseen[key]
	if ok {
		t.reads[key] = e
	}
	return ok
}

func (t *tx) fail(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// commit returns the step that applies the writes if every single key that was
// read is still as it was. A compare over a range of keys would not see a
// delete in it. What wrote nothing needs no compare: its reads were of one
// instant already. Only a guard is left to be checked then.
func (t *tx) commit() Commit {
	var c Commit
	if len(t.writes) == 0 {
		return c
	}
	for _, k := range sortedKeys(t.reads) {
		c.If = append(c.If, ModRevision(k).Equal(t.reads[k].ModRevision))
	}
	for _, k := range sortedKeys(t.writes) {
		c.Then = append(c.Then, t.writes[k])
	}
	return c
}
