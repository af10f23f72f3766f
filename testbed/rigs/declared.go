package rigs

// sessionGivesWay names what etcd's own concurrency package cannot keep, by
// the ID of the check that shows it.
var sessionGivesWay = map[string]string{}
