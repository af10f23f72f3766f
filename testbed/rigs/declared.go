package rigs

// sessionGivesWay names what etcd's own concurrency package cannot keep, by
// the ID of the check that shows it.
var sessionGivesWay = map[string]string{
	"Z8": "concurrency.Mutex writes an empty value: there is no room for owner and metadata",
}
