package rigs

// sessionGivesWay names what etcd's own concurrency package cannot keep, by
// the ID of the check that shows it.
var sessionGivesWay = map[string]string{
	"O11": "a claim of concurrency.Mutex does not say whom to tell: a lock that was broken is found gone",
	"Z8":  "concurrency.Mutex writes an empty value: there is no room for owner and metadata",
}
