// Package report shows a conformance.Report to people and to other programs:
// as JSON that can be read back ([Encode], [Decode], [Schema]), as a matrix in a
// terminal ([Text]), as one HTML file that needs nothing else ([HTML]), as
// Markdown and JUnit, and, while a long run goes on, as progress ([Progress]).
// [Changes] compares two reports. [History] and [SVG] draw a single history.
//
// Everything in a report is taken as hostile text: names of locks and messages
// of servers are escaped in HTML and stripped of control characters in a
// terminal.
package report
