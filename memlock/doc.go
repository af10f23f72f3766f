// Package memlock is a lock server in memory: the reference backend of package
// locker, and the fake for testing programs that use locks.
//
// It promises what the contract of package locker promises, with the server's
// leases and the clients' deadlines on one clock. Waiters of several clients are
// served first come, first served. Tenures strictly increase over release,
// expiry, break and the removal of all data about a name.
//
// The limit: a [Server] lives in one process, and nothing survives it. It
// excludes goroutines, not machines; tokens begin anew with each Server.
//
// [NewServer] and [Server.Open] give a Locker. So does
//
//	locker.Open(ctx, "mem://NAME?ttl=15s")
//
// where the same NAME means the same server in the whole process (see [Named]),
// and ttl, the only parameter, is the lease of an Acquire that asks for none.
//
// # Testing a program
//
// Each [Client] stands for one process. Open two on one server to see the
// program against a rival, and run the test in a testing/synctest bubble: a
// lease then expires at once when every goroutine waits, and to the nanosecond.
//
//	synctest.Test(t, func(t *testing.T) {
//		server := memlock.NewServer()
//		client, err := server.Open()
//		...
//		defer client.Close()
//		go program(client)
//		client.Cut(memlock.Both)              // the network is gone
//		time.Sleep(2 * locker.DefaultTTL)     // takes no time
//		...                                   // the program must have stopped its work
//	})
//
// What can go wrong with a real server can be brought about here: the link of a
// client can be cut, slowed down, and lose answers ([Client.Cut],
// [Client.Delay], [Client.DropReplies], [Client.Heal]), a client can crash
// ([Client.Crash]), and a hold can vanish from the server ([Server.Evict]).
//
// Make and close everything inside the bubble: a Server has timers in it while
// it has clients or leases. A named server can serve one bubble after the other
// if each closes its clients and waits for the leases of those that it crashed.
package memlock
