// Package broken holds lockers that are wrong on purpose, to test the
// conformance suite: each names the check that must catch it, and words that
// the finding must contain.
//
// Most are one small client and server, right by itself, in which one thing is
// spoiled. That server has whatever can be done to a real one: members of which
// one leads, a replica that lags, room that ends, scripts and a history that can
// be forgotten, a clock that can be set. The locks of tutorials are written out.
// None of them is good for anything else.
package broken
