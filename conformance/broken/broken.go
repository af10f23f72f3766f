package broken

import "github.com/lockerlib/locker/conformance"

// A Locker is one lock that is wrong on purpose.
type Locker struct {
	Name   string            // short
	About  string            // what is wrong with it, in one sentence
	Caught string            // the ID of the check that must catch it
	Says   string            // words that the finding must contain
	Model  string            // the defect of a real lock that this one is a model of, or ""
	Maker  conformance.Maker // of rigs whose clients are such Lockers
}

// Reference is the lock from which the broken ones are made, before anything is
// spoiled. It must pass every check.
func Reference() conformance.Maker { return maker{name: "reference", flaw: &flaw{}} }

// Lockers returns all of them.
func Lockers() []Locker {
	var all []Locker
	for _, s := range spoiled() {
		all = append(all, Locker{s.name, s.about, s.caught, s.says, models[s.name], maker{name: s.name, flaw: &s.flaw}})
	}
	return append(all, tutorials()...)
}

// spoiledLock is the reference with a flaw.
type spoiledLock struct {
	name, about, caught, says string
	flaw                      flaw
}
