package broken

// A Conviction says that a check of histories must convict a broken locker, in
// one of a few storms, and words that the finding must contain.
type Conviction struct {
	Name, By, Says string
}

// Convictions returns what the judges of histories find by chance that other
// checks look for: every lock that lets two in, and those that break a lease or
// a token, by the property that they break.
func Convictions() []Conviction {
	return []Conviction{
		{"Get, then Put", "Y1", "both believed to hold"},
		{"Get, then Put, patiently", "Y1", "both believed to hold"},
		{"try grants", "Y1", "both believed to hold"},
		{"wakes two", "Y1", "both believed to hold"},
		{"anyone enters", "Y1", "both believed to hold"},
		{"one key per client", "Y1", "both believed to hold"},
		{"deletes by name", "Y1", "both believed to hold"},
		{"second release is sent", "Y1", "both believed to hold"},
		{"zombie renewal", "Y1", "both believed to hold"},
		{"half lease", "Y1", "both believed to hold"},
		{"told late", "Y1", "both believed to hold"},
		{"first frees all", "Y1", "both believed to hold"},
		{"half lease", "Y3", "the server said of"},
		{"half lease", "Y5", "before the deadline of"},
		{"impatient", "Y5", "before its deadline"},
		{"gives up", "Y5", "before its deadline"},
		{"constant token", "Y6", "had been got before"},
		{"token per client", "Y6", "had been got before"},
		{"token in the key", "Y6", "had been got before"},
		{"token per process", "Y6", "had been got before"},
		{"token per level", "Y6", "had been got before"},
	}
}
