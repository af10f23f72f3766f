package proxy

// A wire follows the two streams of one connection closely enough to tell
// requests and answers apart. Its methods are not called concurrently.
type wire interface {
	// sent takes what goes up, in order, and returns the requests that are
	// complete with it.
	sent(b []byte) []request
	// received takes what comes down, in order, and reports whether b has any
	// part of the answer to one of the requests in doomed.
	received(b []byte, doomed map[uint64]bool) bool
}

type request struct {
	key       uint64 // tells it apart from the others of its connection
	droppable bool   // counts for DropReplies
}

func newWire(p Protocol, onReply func(string, []byte)) wire {
	switch p {
	case HTTP2:
		return newHTTP2Wire(onReply)
	case RESP:
		return &respWire{}
	default:
		return opaqueWire{}
	}
}

// opaqueWire takes every write for a request and whatever follows for its
// answer.
type opaqueWire struct{}

func (opaqueWire) sent(b []byte) []request {
	if len(b) == 0 {
		return nil
	}
	return []request{{droppable: true}}
}

func (opaqueWire) received(b []byte, doomed map[uint64]bool) bool {
	return len(b) > 0 && len(doomed) > 0
}
