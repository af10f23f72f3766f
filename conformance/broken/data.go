package broken

import "maps"

// data is what a server stores.
type data struct {
	queues map[string][]*claim
	tokens map[string]uint64 // the greatest of each name
	last   map[string]string // who held each name last
	undone map[string]bool   // claims that must come to nothing
}

func newData() data {
	return data{queues: make(map[string][]*claim), tokens: make(map[string]uint64), last: make(map[string]string), undone: make(map[string]bool)}
}

// snapshot is what another machine stores that has been told of everything.
func (d data) snapshot() data {
	to := data{make(map[string][]*claim, len(d.queues)), maps.Clone(d.tokens), maps.Clone(d.last), maps.Clone(d.undone)}
	for name, q := range d.queues {
		for _, c := range q {
			same := *c
			to.queues[name] = append(to.queues[name], &same)
		}
	}
	return to
}
