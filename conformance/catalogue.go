package conformance

import (
	"fmt"
	"slices"
)

// The classes of checks.
const (
	Required   = "required"   // every backend must have it
	Optional   = "optional"   // a backend or rig may lack it
	Stochastic = "stochastic" // depends on chance: it can miss a defect, and does not invent one
)

// A Check describes one check of the suite.
type Check struct {
	ID    string // stable, for instance "X2"
	Group string // for instance "Exclusion"
	Rule  string // one sentence
	Class string // Required, Optional or Stochastic
	Set   Set

	// Within is the check's own deadline in TTLs, to which a fixed allowance
	// for starting clients is added. A check that does not end within it is
	// "not shown".
	Within int

	Needs []Power // without which it is "not shown"

	body func(*trial)
}

// Checks returns the checks of the given sets, or those of the standard set if
// none is given, in the order in which they are shown.
func Checks(sets ...Set) []Check {
	if len(sets) == 0 {
		sets = []Set{Standard}
	}
	return slices.DeleteFunc(catalogue(), func(c Check) bool { return !slices.Contains(sets, c.Set) })
}

func catalogue() []Check {
	var all []Check
	for _, g := range []struct {
		name   string
		checks []Check
	}{
		{"Basic", basicChecks()},
		{"Exclusion", exclusionChecks()},
		{"Waiting", waitingChecks()},
		{"Cancellation", cancelChecks()},
		{"Expiry and crash", expiryChecks()},
		{"Renewal", renewalChecks()},
		{"Loss", lossChecks()},
		{"Ownership", ownershipChecks()},
		{"Re-entry", reentryChecks()},
		{"Fencing", fencingChecks()},
		{"Fairness", fairnessChecks()},
		{"Isolation", isolationChecks()},
		{"Hygiene", hygieneChecks()},
		{"Hostile input", hostileChecks()},
		{histories, historyChecks()},
		{"Server faults", serverFaultChecks()},
		{"Endurance", enduranceChecks()},
	} {
		for _, c := range g.checks {
			c.Group = g.name
			if c.Set == "" {
				c.Set = Standard
			}
			all = append(all, c)
		}
	}
	return all
}

// pick returns the checks with the given IDs, or those of the sets if there are
// none.
func pick(ids []string, sets []Set) ([]Check, error) {
	if len(ids) == 0 {
		return Checks(sets...), nil
	}
	all := catalogue()
	var picked []Check
	for _, id := range ids {
		i := slices.IndexFunc(all, func(c Check) bool { return c.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("conformance: there is no check %q", id)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}
