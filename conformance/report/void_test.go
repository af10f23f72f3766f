package report

import (
	"bytes"
	markup "html"
	"io"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
)

// A check that was done again is told of in every form for people, next to a
// verdict that is green.
func TestEveryFormTellsWhatWasDoneAgain(t *testing.T) {
	r := sample()
	res := &r.Backends[2].Results[0]
	res.Void = []string{"no sign of life came from the server for 2.31 s\nand more"}
	for name, write := range map[string]func(io.Writer) error{
		"text":     func(w io.Writer) error { return Text(w, r, TextOptions{Width: 400}) },
		"Markdown": func(w io.Writer) error { return Markdown(w, r, MarkdownOptions{}) },
		"HTML":     func(w io.Writer) error { return HTML(w, r) },
		"JUnit":    func(w io.Writer) error { return JUnit(w, r) },
		"JSON":     func(w io.Writer) error { return Encode(w, r) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		got := markup.UnescapeString(strings.ReplaceAll(b.String(), "\\", ""))
		if !strings.Contains(got, "no sign of life came from the server for 2.31 s") {
			t.Errorf("%s does not tell of it", name)
		}
		if where := res.ID + " on " + r.Backends[2].Backend + " was done again"; name != "JUnit" && name != "JSON" && !strings.Contains(got, where) {
			t.Errorf("%s does not say where", name)
		}
	}
	var b bytes.Buffer
	if err := Encode(&b, r); err != nil {
		t.Fatal(err)
	}
	back, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Backends[2].Results[0]; got.Verdict != conformance.Holds || len(got.Void) != 1 || got.Void[0] != res.Void[0] {
		t.Errorf("read back: %+v", got)
	}
}
