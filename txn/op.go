package txn

import "fmt"

// An OpKind says what an Op does.
type OpKind int

// The kinds of Op.
const (
	OpGet OpKind = iota + 1
	OpPut
	OpDelete
)

// An Op is one step of a branch of an If. Make it with Get, Put or Delete; the
// zero Op is ErrInvalid. The fields are for implementers of Store.
type Op struct {
	Kind  OpKind
	Key   string
	Value string // OpPut

	into []*Entry
}

// Get reads key as it was when the conditions were judged, before any write of
// the same branch. If the branch runs and the commit succeeds, the entry is
// stored in each of into; a missing key gives an Entry that does not exist.
func Get(key string, into ...*Entry) Op { return Op{Kind: OpGet, Key: key, into: into} }

// Put sets key to value.
func Put(key, value string) Op { return Op{Kind: OpPut, Key: key, Value: value} }

// Delete removes key, and does nothing if it is missing.
func Delete(key string) Op { return Op{Kind: OpDelete, Key: key} }

// checkOps checks one branch. A key that is written twice is refused here,
// because servers differ in what they make of it.
func checkOps(ops []Op) error {
	written := make(map[string]bool)
	for _, op := range ops {
		if op.Kind < OpGet || op.Kind > OpDelete {
			return invalidf("an operation was not made with Get, Put or Delete")
		}
		if err := CheckKey(op.Key); err != nil {
			return err
		}
		for _, dst := range op.into {
			if dst == nil {
				return invalidf("the destination of Get(%q) is nil", op.Key)
			}
		}
		if op.Kind == OpGet {
			continue
		}
		if written[op.Key] {
			return invalidf("one branch writes the key %q twice", op.Key)
		}
		written[op.Key] = true
	}
	return nil
}

// deliver stores what the gets of the branch that ran have read.
func deliver(ops []Op, reads []Entry) error {
	n := 0
	for _, op := range ops {
		if op.Kind != OpGet {
			continue
		}
		if n == len(reads) {
			return fmt.Errorf("txn: the store answered %d of the gets only", n)
		}
		for _, dst := range op.into {
			*dst = reads[n]
		}
		n++
	}
	return nil
}
