package txn

import "cmp"

// A Target says what of a key a condition looks at.
type Target int

// The targets of conditions.
const (
	OnModRevision Target = iota + 1
	OnValue
)

// A Relation compares a key with what a condition gives.
type Relation int

// The relations of conditions.
const (
	Equal Relation = iota + 1
	NotEqual
	Greater
	Less
)

// A Cond is a condition on one key. Make it with ModRevision, Value, Exists or
// Missing; the zero Cond is ErrInvalid. The fields are for implementers of
// Store.
type Cond struct {
	Key      string
	Target   Target
	Relation Relation
	Revision int64  // OnModRevision
	Value    string // OnValue
}

// Holds judges the condition on what the store has for its key.
func (c Cond) Holds(e Entry) bool {
	var order int
	switch c.Target {
	case OnModRevision:
		order = cmp.Compare(e.ModRevision, c.Revision)
	case OnValue:
		if !e.Exists() {
			return false // a missing key has no value, not even another one
		}
		order = cmp.Compare(e.Value, c.Value)
	}
	switch c.Relation {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Greater:
		return order > 0
	case Less:
		return order < 0
	}
	return false
}

func (c Cond) check() error {
	if c.Target < OnModRevision || c.Target > OnValue || c.Relation < Equal || c.Relation > Less {
		return invalidf("a condition was not made with ModRevision, Value, Exists or Missing")
	}
	return CheckKey(c.Key)
}

// Exists holds if the key is there.
func Exists(key string) Cond { return ModRevision(key).Greater(0) }

// Missing holds if the key is not there.
func Missing(key string) Cond { return ModRevision(key).Equal(0) }

// ModRevision begins a condition on the revision that wrote key last, as
// Entry.ModRevision gives it; 0 for a missing key.
func ModRevision(key string) OfRevision { return OfRevision{key} }

// An OfRevision is the left side of a condition on a revision.
type OfRevision struct{ key string }

// Equal holds if the key was last written by revision rev.
func (o OfRevision) Equal(rev int64) Cond { return o.cond(Equal, rev) }

// NotEqual holds if the key was last written by another revision than rev.
func (o OfRevision) NotEqual(rev int64) Cond { return o.cond(NotEqual, rev) }

// Greater holds if the key was written after rev.
func (o OfRevision) Greater(rev int64) Cond { return o.cond(Greater, rev) }

// Less holds if the key was last written before rev, or is missing (and rev is
// greater than 0).
func (o OfRevision) Less(rev int64) Cond { return o.cond(Less, rev) }

func (o OfRevision) cond(r Relation, rev int64) Cond {
	return Cond{Key: o.key, Target: OnModRevision, Relation: r, Revision: rev}
}

// Value begins a condition on the value of key. Values are compared byte by
// byte, so that "10" is less than "9". No condition on the value of a missing
// key holds, NotEqual neither.
func Value(key string) OfValue { return OfValue{key} }

// An OfValue is the left side of a condition on a value.
type OfValue struct{ key string }

// Equal holds if the value is v.
func (o OfValue) Equal(v string) Cond { return o.cond(Equal, v) }

// NotEqual holds if the key exists with another value than v.
func (o OfValue) NotEqual(v string) Cond { return o.cond(NotEqual, v) }

// Greater holds if the value comes after v.
func (o OfValue) Greater(v string) Cond { return o.cond(Greater, v) }

// Less holds if the value comes before v.
func (o OfValue) Less(v string) Cond { return o.cond(Less, v) }

func (o OfValue) cond(r Relation, v string) Cond {
	return Cond{Key: o.key, Target: OnValue, Relation: r, Value: v}
}
