package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lockerlib/locker/conformance"
)

var keep = flag.String("keep", "", "write the page of the sample to this file, to look at it")

func html(t *testing.T, r *conformance.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// An element is what the tests want to know of one.
type element struct {
	name string
	attr map[string]string
}

var code = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(style|script)>`)

// elements parses a page. Tags must be balanced; style and script are cut out,
// because they are no markup.
func elements(t *testing.T, page string) []element {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(code.ReplaceAllString(page, "<$1></$1>")))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var list []element
	var stack []string
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e := element{tok.Name.Local, make(map[string]string)}
			for _, a := range tok.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			list = append(list, e)
			stack = append(stack, e.name)
		case xml.EndElement:
			if top := stack[len(stack)-1]; top != tok.Name.Local {
				t.Fatalf("</%s> closes <%s>", tok.Name.Local, top)
			}
			stack = stack[:len(stack)-1]
		}
	}
	if len(stack) > 0 {
		t.Fatalf("never closed: %v", stack)
	}
	return list
}

func TestHTMLStructure(t *testing.T) {
	if *keep != "" {
		if err := os.WriteFile(*keep, []byte(html(t, sample())), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ids := make(map[string]int)
	var links []string
	count := make(map[string]int)
	for _, e := range elements(t, html(t, sample())) {
		count[e.name]++
		if id, ok := e.attr["id"]; ok {
			ids[id]++
		}
		if href, ok := e.attr["href"]; ok {
			links = append(links, href)
		}
		for a, v := range e.attr {
			if strings.HasPrefix(a, "on") || a == "src" || a == "style" {
				t.Errorf("<%s %s=%q>", e.name, a, v)
			}
		}
		if e.name == "th" && e.attr["scope"] == "" {
			t.Error("a heading of a table says nothing of its scope")
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("ID %q is there %d times", id, n)
		}
	}
	for _, href := range links {
		if !strings.HasPrefix(href, "#") || ids[href[1:]] == 0 {
			t.Errorf("the link %q leads nowhere in the page", href)
		}
	}
	if want := 71 + 1; len(links) != want { // one per result, and the skip link
		t.Errorf("%d links, want %d", len(links), want)
	}
	if count["script"] != 1 || count["style"] != 1 || count["link"] != 0 || count["img"] != 0 {
		t.Errorf("elements: %v", count)
	}
}

func TestHTMLNeedsNoNetwork(t *testing.T) {
	if page := html(t, sample()); regexp.MustCompile(`https?:|//[a-z]|@import|url\([^#]`).MatchString(code.ReplaceAllStringFunc(page, func(s string) string {
		return regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(s, "") // comments of the script
	})) {
		t.Error("the page refers to something outside")
	}
}

func TestHTMLPolicyAdmitsItsOwnCode(t *testing.T) {
	page := html(t, sample())
	policy := ""
	for _, e := range elements(t, page) {
		if e.attr["http-equiv"] == "Content-Security-Policy" {
			policy = e.attr["content"]
		}
	}
	found := code.FindAllStringSubmatch(page, -1)
	if len(found) != 2 {
		t.Fatalf("%d pieces of code", len(found))
	}
	for _, m := range found {
		if want := m[1] + "-src '" + hash(m[2]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy is %q, it should have %q", policy, want)
		}
	}
}

func TestHTMLEscapesHostileNames(t *testing.T) {
	clean := html(t, named(strings.Repeat("h", utf8.RuneCountInString(hostile)))) // as long, as some texts are shown where there is room
	dirty := html(t, named(hostile))
	a, b := elements(t, clean), elements(t, dirty)
	if len(a) != len(b) {
		t.Fatalf("a hostile name made %d elements out of %d", len(b), len(a))
	}
	for i := range a {
		if a[i].name != b[i].name || len(a[i].attr) != len(b[i].attr) {
			t.Errorf("a hostile name made %v out of %v", b[i], a[i])
		}
	}
	for _, bad := range []string{"<script>alert", "<img", "\x1b", "\u202e"} {
		if strings.Contains(dirty, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !strings.Contains(dirty, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Error("the name is not shown")
	}
}

func TestHTMLShowsEveryResult(t *testing.T) {
	page := html(t, sample())
	for _, b := range sample().Backends {
		for _, res := range b.Results {
			want := "<b>" + res.ID + "</b> on <b>" + b.Backend + "</b>: " + string(res.Verdict)
			if !strings.Contains(page, want) {
				t.Errorf("no evidence %q", want)
			}
		}
	}
	for _, want := range []string{"A and B both held &#34;job&#34; for 1.2 s", "overlap 1.2 s", "server paused", "#128", "Drawn are 240 of 3,000 events"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestHTMLOfNothing(t *testing.T) {
	if page := html(t, &conformance.Report{Version: conformance.ReportVersion}); !strings.Contains(page, "Nothing was checked.") {
		t.Error("an empty report is not said to be empty")
	}
}
