package etcdlock

// What a client sends on an HTTP/2 connection, as far as it matters here; see
// RFC 9113, sections 3.4, 4.1 and 6.
const (
	prefaceLen     = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	frameHeaderLen = 9
	frameData      = 0x0
	frameHeaders   = 0x1
	frameSettings  = 0x4
	framePing      = 0x6
	flagAck        = 0x1
)

// frames reads along what a client sends. It begins before the preface, and is
// for one goroutine at a time, as the writing half of a connection is.
type frames struct {
	begun  bool
	skip   int // bytes until the next header
	header [frameHeaderLen]byte
	have   int // bytes of header
}

// ask reports whether b has something that the server answers: a request, more
// of one, settings or a ping. Acknowledgements, window updates and resets of a stream are
// answered by nothing, and saying them proves nothing about the other end.
func (f *frames) ask(b []byte) (asked bool) {
	if !f.begun {
		f.begun, f.skip = true, prefaceLen
	}
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(b))
			f.skip -= n
			b = b[n:]
			continue
		}
		n := copy(f.header[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have < frameHeaderLen {
			break
		}
		f.have = 0
		h := f.header
		f.skip = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		switch kind, flags := h[3], h[4]; kind {
		case frameData, frameHeaders:
			asked = true
		case frameSettings, framePing:
			asked = asked || flags&flagAck == 0
		}
	}
	return asked
}
