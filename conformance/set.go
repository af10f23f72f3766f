package conformance

// A Set is a part of the suite that is run by itself.
type Set string

// The sets of checks.
const (
	// Standard are the checks that run against servers that others use too.
	Standard Set = "standard"
	// Faults are the checks that do things to the server itself: stop it, kill
	// it, fill it, take its data. Each needs a server of its own, and minutes
	// rather than seconds for all of them.
	Faults Set = "faults"
)

// WithSet selects the checks of a set. The default is Standard; several sets
// add up. Only goes before it: a check that is named runs whatever its set.
func WithSet(s Set) VerifyOption { return func(p *plan) { p.sets = append(p.sets, s) } }
