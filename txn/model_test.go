package txn_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/lockerlib/locker/txn"
	"github.com/lockerlib/locker/txn/memtxn"
	"pgregory.net/rapid"
)

// model is what the keys are, written down plainly: each commit that writes has
// a revision, and each key the revision of its last write.
type model struct {
	ctx      context.Context
	store    txn.Store
	revision int64
	entries  map[string]txn.Entry
	// snapshot is a reader that stays open over other steps, and what it saw.
	snapshot txn.Snapshot
	saw      map[string]txn.Entry
}

var names = rapid.SampledFrom([]string{"a", "b", "c", "\x00", "a/b", "é"})
var values = rapid.SampledFrom([]string{"", "0", "1", "10", "9", "\xff\x00"})

func (m *model) entry(k string) txn.Entry {
	e := m.entries[k]
	e.Key = k
	return e
}

func (m *model) apply(ops []txn.Op) {
	next := m.revision + 1
	for _, op := range ops {
		switch op.Kind {
		case txn.OpPut:
			m.entries[op.Key] = txn.Entry{Key: op.Key, Value: op.Value, ModRevision: next}
			m.revision = next
		case txn.OpDelete:
			delete(m.entries, op.Key)
			m.revision = next
		}
	}
}

func (m *model) Update(t *rapid.T) {
	next := maps.Clone(m.entries)
	fail := rapid.Bool().Draw(t, "fail")
	aborted := errors.New("aborted")
	var ops []txn.Op
	err := txn.Update(m.ctx, m.store, func(tx txn.Tx) error {
		for range rapid.IntRange(0, 6).Draw(t, "steps") {
			k := names.Draw(t, "key")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				got, err := tx.Get(m.ctx, k)
				want, exists := next[k]
				if exists && (err != nil || got != want.Value) || !exists && !errors.Is(err, txn.ErrNoKey) {
					t.Fatalf("Get(%q) = %q, %v; want %q, exists %v", k, got, err, want.Value, exists)
				}
			case 1:
				v := values.Draw(t, "value")
				tx.Put(k, v)
				ops = append(ops, txn.Put(k, v))
				next[k] = txn.Entry{Key: k, Value: v}
			case 2:
				tx.Delete(k)
				ops = append(ops, txn.Delete(k))
				delete(next, k)
			}
		}
		if fail {
			return aborted
		}
		return nil
	})
	if fail != (err == aborted) || !fail && err != nil { //nolint:errorlint // as it is
		t.Fatalf("Update = %v, fail %v", err, fail)
	}
	if !fail {
		m.apply(ops)
	}
}

func (m *model) If(t *rapid.T) {
	var conds []txn.Cond
	holds := true
	for range rapid.IntRange(0, 3).Draw(t, "conds") {
		k := names.Draw(t, "key")
		rev := txn.ModRevision(k)
		at := rapid.Int64Range(0, m.revision+1).Draw(t, "revision")
		v := values.Draw(t, "value")
		e := m.entry(k)
		var c txn.Cond
		var want bool
		switch rapid.IntRange(0, 6).Draw(t, "cond") {
		case 0:
			c, want = rev.Equal(e.ModRevision), true
		case 1:
			c, want = rev.Greater(at), e.ModRevision > at
		case 2:
			c, want = rev.Less(at), e.ModRevision < at
		case 3:
			c, want = txn.Value(k).Equal(v), e.Exists() && e.Value == v
		case 4:
			c, want = txn.Value(k).Greater(v), e.Exists() && e.Value > v
		case 5:
			c, want = txn.Exists(k), e.Exists()
		case 6:
			c, want = txn.Missing(k), !e.Exists()
		}
		conds = append(conds, c)
		holds = holds && want
	}
	read := names.Draw(t, "read")
	branch := func(label string, dst *txn.Entry) []txn.Op {
		ops := []txn.Op{txn.Put(names.Draw(t, label), values.Draw(t, "value")), txn.Get(read, dst)}
		if k := names.Draw(t, label+" delete"); k != ops[0].Key {
			ops = append(ops, txn.Delete(k))
		}
		return ops
	}
	var inThen, inElse txn.Entry
	then, other := branch("then", &inThen), branch("else", &inElse)
	ok, err := txn.If(conds...).Then(then...).Else(other...).Commit(m.ctx, m.store)
	if err != nil || ok != holds {
		t.Fatalf("Commit = %v, %v; want %v", ok, err, holds)
	}
	got, ops := inElse, other
	if ok {
		got, ops = inThen, then
	}
	if got != m.entry(read) {
		t.Fatalf("read %v, want %v", got, m.entry(read))
	}
	m.apply(ops)
}

// Read goes on with a snapshot that other steps have come between.
func (m *model) Read(t *rapid.T) {
	if m.snapshot == nil || rapid.IntRange(0, 3).Draw(t, "new") == 0 {
		m.snapshot, m.saw = m.store.Snapshot(), make(map[string]txn.Entry)
	}
	k := names.Draw(t, "key")
	got, err := m.snapshot.Read(m.ctx, k)
	stands := true
	for seen, e := range m.saw {
		stands = stands && m.entry(seen) == e
	}
	switch {
	case !stands && errors.Is(err, txn.ErrConflict):
		m.snapshot = nil
	case !stands:
		t.Fatalf("Read = %v, %v though %v has changed", got, err, m.saw)
	case err != nil || len(got) != 1 || got[0] != m.entry(k):
		t.Fatalf("Read = %v, %v; want %v", got, err, m.entry(k))
	default:
		m.saw[k] = got[0]
	}
}

// Check compares every key.
func (m *model) Check(t *rapid.T) {
	for _, k := range []string{"a", "b", "c", "\x00", "a/b", "é"} {
		got, err := m.store.Snapshot().Read(m.ctx, k)
		if err != nil || len(got) != 1 || got[0] != m.entry(k) {
			t.Fatalf("%q is %v (%v), want %v", k, got, err, m.entry(k))
		}
	}
}

func TestAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		server := &memServer{bag: make(map[any]any)}
		m := &model{ctx: context.Background(), store: memtxn.New(server), entries: make(map[string]txn.Entry)}
		t.Repeat(rapid.StateMachineActions(m))
	})
}
