// Package conformance is a suite of checks for implementations of
// [locker.Locker]. It opens several independent clients on one server, lets
// them compete, crash and lose their links, and says for each rule of the
// contract whether it held, with what was done and seen.
//
// Under the testing package, one line runs it:
//
//	func TestConformance(t *testing.T) { conformance.Run(t, maker{}) }
//
// [Verify] does the same without it, for a command line. What the suite needs
// from the backend under test is a [Maker] of [Rig]s. A rig that only opens
// clients is enough to begin with; each further power (cutting a link, crashing
// a client, seeing what is on the server) is a small optional interface, and a
// check whose power is missing is "not shown", never passed.
//
// [Run] takes the standard set unless told otherwise ([WithSet]). The checks of
// the set [Faults] do things to the server itself, and need rigs with a server of
// their own. [Soak] lets clients and faults loose at random and judges the
// history. A maker that is a [Pulser] keeps a server that stands still from being
// held against the backend.
//
// The lock need not be built on package driver. An adapter that implements
// locker.Locker and locker.Lock is enough: locker.Config.Resolve reads the options
// and refuses invalid ones, and one that the lock cannot honour is
// errors.ErrUnsupported. What the lock does not have is declared, see [Offer]; what
// it keeps only mostly, or is known to break, is declared check by check, see
// [Profile]. All the rest is demanded.
//
// Clients of a backend whose server lives in the process run in a
// testing/synctest bubble (Profile.Bubble): the checks take no real time, and a
// goroutine that is left behind fails its check.
//
// Package broken holds lockers that are wrong on purpose. Each is caught by a
// check that is named beforehand; that is how the suite itself is tested.
package conformance
