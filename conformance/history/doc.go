// Package history judges what happened when clients competed for locks.
//
// A [History] is a recording on one clock: what each client believed to hold
// and for how long, what a server observer saw, what was written to a resource,
// and which faults there were. Package storm makes one from random clients and
// faults; [Decode] reads a stored one.
//
// [Judge] says of a history whether four properties held: clients did not
// believe to hold a name at once; the server never had two owners, and agreed
// with its clients; no lease ended early; a resource that refuses smaller
// tokens refused every stale write. Beliefs have two judges that know nothing
// of each other: porcupine, a checker of linearizability, with five models of a
// lock, and a plain comparison of intervals whose findings are sentences.
//
// A judge that runs out of time, and a history in which too little happened,
// are [Unknown]: nothing was shown.
package history
