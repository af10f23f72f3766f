package proxy

import (
	"bytes"
	"strconv"
	"strings"
)

// respWire reads Redis' protocol along. Answers come in the order of the
// requests; pushes come in between and answer nothing.
type respWire struct {
	up, down values
	sentN    uint64 // requests that get an answer
	answered uint64 // answers that came
}

// unanswered commands get pushes instead of an answer.
var unanswered = map[string]bool{
	"SUBSCRIBE": true, "PSUBSCRIBE": true, "SSUBSCRIBE": true,
	"UNSUBSCRIBE": true, "PUNSUBSCRIBE": true, "SUNSUBSCRIBE": true,
}

// handshake commands belong to the connection: no caller waits for them.
var handshake = map[string]bool{
	"HELLO": true, "AUTH": true, "CLIENT": true, "SELECT": true,
	"READONLY": true, "PING": true, "QUIT": true,
}

func (w *respWire) sent(b []byte) []request {
	var rs []request
	w.up.feed(b, func(v value) {
		switch name := strings.ToUpper(v.word); {
		case unanswered[name]:
			rs = append(rs, request{})
		case handshake[name]:
			w.sentN++
		default:
			w.sentN++
			rs = append(rs, request{key: w.sentN, droppable: true})
		}
	})
	return rs
}

func (w *respWire) received(b []byte, doomed map[uint64]bool) bool {
	first := w.answered + 1 // the answer that b begins with, or is in the middle of
	w.down.feed(b, func(v value) {
		if v.kind != '>' && v.kind != '|' {
			w.answered++
		}
	})
	last := w.answered
	if w.down.partial() && w.down.kind != '>' {
		last++
	}
	for n := first; n <= last; n++ {
		if doomed[n] {
			return true
		}
	}
	return false
}

// A value is a complete top-level value of the stream.
type value struct {
	kind byte
	word string // of a command: its name
}

// values cuts a stream of bytes into values of Redis' protocol.
type values struct {
	buf  []byte
	open int    // elements that the current value still lacks
	kind byte   // of the current value
	word string // first string in it
}

// partial reports whether the stream stands in the middle of a value.
func (p *values) partial() bool { return p.open > 0 || len(p.buf) > 0 }

func (p *values) feed(b []byte, each func(value)) {
	p.buf = append(p.buf, b...)
	for {
		line := bytes.Index(p.buf, []byte("\r\n"))
		if line < 1 {
			if len(p.buf) > 0 && p.open == 0 {
				p.kind = p.buf[0]
			}
			return
		}
		kind := p.buf[0]
		if p.open == 0 {
			p.kind, p.word = kind, ""
		}
		n, _ := strconv.Atoi(string(p.buf[1:line])) // 0 where it is no number
		end, children := line+2, 0
		switch kind {
		case '$', '=', '!':
			if n >= 0 {
				end += n + 2
			}
		case '*', '~', '>':
			children = max(n, 0)
		case '%', '|':
			children = 2 * n
		}
		if len(p.buf) < end {
			return
		}
		if kind == '$' && p.word == "" && n > 0 {
			p.word = string(p.buf[line+2 : end-2])
		}
		p.buf = p.buf[end:]
		if p.open > 0 {
			p.open--
		}
		p.open += children
		if p.open == 0 {
			each(value{p.kind, p.word})
		}
	}
}
