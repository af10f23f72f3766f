package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lockerlib/locker/conformance"
)

// JUnit writes r as the XML that test dashboards read: a suite for each backend,
// a test for each check. What is not green is a failure, except that an optional
// check which could not be shown is skipped.
func JUnit(w io.Writer, r *conformance.Report) error {
	r = visibleReport(r)
	doc := junitSuites{Name: "conformance"}
	for _, b := range r.Backends {
		s := junitSuite{Name: b.Backend, Tests: len(b.Results), Timestamp: r.Time.UTC().Format("2006-01-02T15:04:05"), Time: seconds(b.Took)}
		for _, res := range b.Results {
			c := junitCase{Name: res.ID + " " + res.Rule, Class: b.Backend + "." + res.Group, Time: seconds(res.Took)}
			switch {
			case !res.OK():
				s.Failures++
				c.Failure = &junitText{Message: fmt.Sprintf("%s: %s", res.Verdict, firstLine(res.Seen)), Text: res.String()}
			case !res.Verdict.Green():
				s.Skipped++
				c.Skipped = &junitText{Message: firstLine(res.Seen)}
			case res.Verdict != conformance.Holds:
				c.Out = fmt.Sprintf("%s: %s", res.Verdict, res.Seen)
			}
			for _, v := range res.Void {
				c.Out += "\ndone again: " + v
			}
			s.Cases = append(s.Cases, c)
		}
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Skipped += s.Skipped
		doc.Suites = append(doc.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Time      string      `xml:"time,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string     `xml:"name,attr"`
	Class   string     `xml:"classname,attr"`
	Time    string     `xml:"time,attr"`
	Failure *junitText `xml:"failure"`
	Skipped *junitText `xml:"skipped"`
	Out     string     `xml:"system-out,omitempty"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func seconds(d time.Duration) string {
	return strings.TrimSuffix(fmt.Sprintf("%.3f", d.Seconds()), ".000")
}
