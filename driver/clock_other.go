//go:build !linux

package driver

// SystemClock is the clock for servers outside of this process. Here it is
// Go's own, which on macOS stands still while the machine sleeps: a hold that
// slept through its deadline is noticed at the next renewal only.
func SystemClock() Clock { return GoClock() }
