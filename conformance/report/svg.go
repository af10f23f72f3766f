package report

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/lockerlib/locker/conformance"
)

//go:embed svg.tmpl
var svgTemplate string

//go:embed svg.css
var svgStyle string

var drawing = parse(svgTemplate)

// The drawing that stands alone, in pixels.
const (
	svgWidth   = 960
	svgMargin  = 12
	svgLine    = 20
	svgKey     = 28
	svgColumns = 105 // characters of its sentence in a line
)

type svgView struct {
	Timeline                   *timeline
	Style                      template.CSS
	Width, Height, Margin, Top int
	Across                     int
	Says                       []svgText
	Key                        []svgText
	KeyY                       int
}

type svgText struct {
	X, Y        int
	Text, Class string
}

// SVG writes the timeline of one result as a drawing that needs no other file:
// the sentence, the lanes, and what the patterns mean. It follows the reader's
// preference for light or dark where it is shown by itself.
func SVG(w io.Writer, res conformance.Result) error {
	if len(res.Events) == 0 {
		return errNoEvents
	}
	res = visibleResult(res)
	v := svgView{
		Timeline: newTimeline(&res), Style: template.CSS(paletteStyle + drawingStyle + svgStyle),
		Width: svgWidth, Margin: svgMargin, Across: svgWidth - 2*svgMargin, Top: svgMargin,
	}
	for _, line := range lines(v.Timeline.Sentence, svgColumns) {
		v.Top += svgLine
		v.Says = append(v.Says, svgText{Y: v.Top - 4, Text: line})
	}
	v.Top += svgMargin / 2
	v.KeyY = v.Top + v.Timeline.Height + svgMargin/2
	v.Height = v.KeyY + svgKey
	x := svgMargin
	for _, k := range [][2]string{
		{"hold", "holds"}, {"wait", "waits"}, {"untold", "not told yet"}, {"after", "goes on after loss"}, {"fault", "fault"}, {"clash", "two hold"},
	} {
		if k[0] == "clash" && len(v.Timeline.Clashes) == 0 {
			continue
		}
		v.Key = append(v.Key, svgText{X: x, Class: k[0], Text: k[1]})
		x += 60 + 7*len(k[1])
	}
	return drawing.Execute(w, v)
}

// lines breaks a text between words.
func lines(text string, columns int) []string {
	var all []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line+" "+word) > columns {
			all = append(all, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(all, line)
}
