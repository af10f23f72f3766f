package proxy

import (
	"encoding/binary"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameHeaderLen = 9
	// maxKept bounds what is kept of one message: answers that OnReply is
	// meant for are small.
	maxKept = 64 << 10
)

// http2Wire reads gRPC over HTTP/2 along. A request is a message that goes up;
// an answer is whatever comes down on the same stream.
type http2Wire struct {
	onReply func(method string, message []byte)
	skip    int // bytes of the client's preface still to come
	up      frames
	down    frames
	headers *hpack.Decoder
	block   []byte // header block that CONTINUATION frames go on with
	streams map[uint32]*stream
}

type stream struct {
	method string
	unary  bool // the client has said all it will say
	reply  []byte
}

func newHTTP2Wire(onReply func(string, []byte)) *http2Wire {
	return &http2Wire{
		onReply: onReply,
		skip:    len(http2.ClientPreface),
		headers: hpack.NewDecoder(4096, nil),
		streams: make(map[uint32]*stream),
	}
}

func (w *http2Wire) sent(b []byte) []request {
	n := min(w.skip, len(b))
	w.skip -= n
	var rs []request
	w.up.feed(b[n:], func(h http2.FrameHeader, payload []byte) {
		switch h.Type {
		case http2.FrameHeaders, http2.FrameContinuation:
			w.block = append(w.block, headerBlock(h, payload)...)
			if h.Flags.Has(http2.FlagHeadersEndHeaders) { // the same bit in both
				w.streams[h.StreamID] = &stream{method: w.method()}
			}
		case http2.FrameRSTStream:
			delete(w.streams, h.StreamID)
		case http2.FrameData:
			end := h.Flags.Has(http2.FlagDataEndStream)
			if s := w.streams[h.StreamID]; s != nil && end {
				s.unary = true
			}
			if h.Length > 0 {
				rs = append(rs, request{key: uint64(h.StreamID), droppable: end})
			}
		default: // belongs to the connection
		}
	})
	return rs
}

func (w *http2Wire) received(b []byte, doomed map[uint64]bool) (hit bool) {
	w.down.feed(b, func(h http2.FrameHeader, payload []byte) {
		if h.StreamID != 0 && doomed[uint64(h.StreamID)] && h.Type != http2.FrameWindowUpdate {
			hit = true
		}
		s := w.streams[h.StreamID]
		if s == nil {
			return
		}
		if h.Type == http2.FrameData && s.unary && len(s.reply)+len(payload) <= maxKept {
			s.reply = append(s.reply, payload...)
			w.report(s)
		}
		if h.Type == http2.FrameRSTStream || h.Type == http2.FrameHeaders && h.Flags.Has(http2.FlagHeadersEndStream) {
			delete(w.streams, h.StreamID)
		}
	})
	return hit
}

// report hands a complete message on: a byte that says "not compressed", its
// length in four bytes, and the message.
func (w *http2Wire) report(s *stream) {
	const prefix = 5
	if w.onReply == nil || len(s.reply) < prefix || s.reply[0] != 0 {
		return
	}
	size := int(binary.BigEndian.Uint32(s.reply[1:prefix]))
	if len(s.reply)-prefix < size {
		return
	}
	w.onReply(s.method, s.reply[prefix:prefix+size])
	s.reply = nil
}

// method decodes the collected header block. Every block must be decoded, in
// order: the compression refers back to earlier ones.
func (w *http2Wire) method() string {
	fields, err := w.headers.DecodeFull(w.block)
	w.block = w.block[:0]
	if err != nil {
		return "" // the server will end the connection over it
	}
	for _, f := range fields {
		if f.Name == ":path" {
			return f.Value
		}
	}
	return ""
}

// headerBlock strips padding and priority off a HEADERS frame.
func headerBlock(h http2.FrameHeader, b []byte) []byte {
	if h.Type != http2.FrameHeaders {
		return b
	}
	padding := 0
	if h.Flags.Has(http2.FlagHeadersPadded) && len(b) > 0 {
		padding, b = int(b[0]), b[1:]
	}
	if h.Flags.Has(http2.FlagHeadersPriority) && len(b) >= 5 {
		b = b[5:]
	}
	return b[:max(len(b)-padding, 0)]
}

// frames cuts a stream of bytes into HTTP/2 frames.
type frames struct{ buf []byte }

func (f *frames) feed(b []byte, each func(http2.FrameHeader, []byte)) {
	f.buf = append(f.buf, b...)
	for len(f.buf) >= frameHeaderLen {
		h := http2.FrameHeader{
			Length:   uint32(f.buf[0])<<16 | uint32(f.buf[1])<<8 | uint32(f.buf[2]),
			Type:     http2.FrameType(f.buf[3]),
			Flags:    http2.Flags(f.buf[4]),
			StreamID: binary.BigEndian.Uint32(f.buf[5:9]) & (1<<31 - 1),
		}
		end := frameHeaderLen + int(h.Length)
		if len(f.buf) < end {
			return
		}
		each(h, f.buf[frameHeaderLen:end])
		f.buf = f.buf[end:]
	}
	if len(f.buf) == 0 {
		f.buf = nil // so that the array behind it is not kept for ever
	}
}
