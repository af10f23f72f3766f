package etcdlock

import (
	"bytes"
	"io"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// However the bytes are cut, each frame is taken for what it is.
func TestFrames(t *testing.T) {
	write := map[string]struct {
		frame func(*http2.Framer) error
		asks  bool
	}{
		"settings":  {func(f *http2.Framer) error { return f.WriteSettings() }, true},
		"their ack": {func(f *http2.Framer) error { return f.WriteSettingsAck() }, false},
		"window":    {func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 100) }, false},
		"reset":     {func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeCancel) }, false},
		"pong":      {func(f *http2.Framer) error { return f.WritePing(true, [8]byte{6: 6, 7: 1}) }, false},
		"ping":      {func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }, true},
		"data":      {func(f *http2.Framer) error { return f.WriteData(1, true, make([]byte, 300)) }, true},
		"headers": {func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 70_000)[:16_000], EndHeaders: true})
		}, true},
	}
	names := []string{"settings", "their ack", "window", "reset", "pong", "ping", "data", "headers"}
	rapid.Check(t, func(t *rapid.T) {
		var f frames
		wire := bytes.NewBufferString(http2.ClientPreface)
		framer := http2.NewFramer(wire, nil)
		for range rapid.IntRange(1, 20).Draw(t, "frames") {
			w := write[rapid.SampledFrom(names).Draw(t, "frame")]
			if err := w.frame(framer); err != nil {
				t.Fatal(err)
			}
			asked := false
			for wire.Len() > 0 {
				b := make([]byte, rapid.IntRange(1, wire.Len()).Draw(t, "cut"))
				if _, err := io.ReadFull(wire, b); err != nil {
					t.Fatal(err)
				}
				asked = f.ask(b) || asked
			}
			if asked != w.asks {
				t.Fatalf("asked: %t, want %t", asked, w.asks)
			}
		}
	})
}
