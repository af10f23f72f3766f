// Package memlock is a lock server in memory.
package memlock
