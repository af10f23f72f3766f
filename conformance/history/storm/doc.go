// Package storm lets random clients and faults loose on a lock server, and
// records what happens as a [history.History].
//
// The seed fixes what each client and each fault intends. What comes of it
// depends on the scheduler and the server too: a seed repeats the kind of a
// run, not the run. That is what the stored history is for.
package storm
