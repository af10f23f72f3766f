package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// sentence says what the drawing shows, the worst first.
func (s *story) sentence(clashes []clash) string {
	if len(clashes) > 0 {
		worst := slices.MaxFunc(clashes, func(a, b clash) int { return int(a.length() - b.length()) })
		who := worst.a.client + " and " + worst.b.client + " both held "
		if worst.a.client == worst.b.client {
			who = worst.a.client + " held twice "
		}
		text := fmt.Sprintf("%s%s for %s, from %s to %s.", who, quoted(worst.a.name), span(worst.length()), clock(worst.from), clock(worst.to))
		if n := len(clashes) - 1; n > 0 {
			text += " " + plural(n, "shorter overlap") + " more."
		}
		return text
	}
	if text := s.told(); text != "" {
		return text
	}
	if len(s.holds) == 0 {
		if len(s.waits) == 0 {
			return "Nobody waited and nobody held."
		}
		return "Somebody waited, and nobody was let in."
	}
	var names, who []string
	for _, h := range s.holds {
		if !slices.Contains(names, h.name) {
			names = append(names, h.name)
		}
		if !slices.Contains(who, h.client) {
			who = append(who, h.client)
		}
	}
	what := fmt.Sprintf("%d names", len(names))
	if len(names) == 1 {
		what = quoted(names[0])
	}
	if len(who) == 1 {
		return fmt.Sprintf("%s held %s %s.", who[0], what, times(len(s.holds)))
	}
	return fmt.Sprintf("%s held %s %s, never two at once.", list(who), what, times(len(s.holds)))
}

// inOneSentence is the first line of a finding, from a capital letter on.
func inOneSentence(seen string) string {
	line, _, _ := strings.Cut(seen, "\n")
	if r, size := utf8.DecodeRuneInString(line); size > 0 {
		line = string(unicode.ToUpper(r)) + line[size:]
	}
	if line != "" && !strings.HasSuffix(line, ".") {
		line += "."
	}
	return line
}

// told speaks of a loss and of who came next.
func (s *story) told() string {
	for _, h := range s.holds {
		if h.end == taken {
			return s.taken(h)
		}
		if h.end != lost && h.end != crashed {
			continue
		}
		verb := "lost"
		if h.end == crashed {
			verb = "crashed with"
		}
		text := fmt.Sprintf("%s %s %s at %s", h.client, verb, quoted(h.name), clock(h.to))
		for _, next := range s.holds {
			if next.name == h.name && next.from >= h.to && next.client != serverLane {
				return text + fmt.Sprintf("; %s got it %s later.", next.client, span(next.from-h.to))
			}
		}
		return text + "; nobody got it afterwards."
	}
	return ""
}

// taken speaks of a hold that was removed on the server.
func (s *story) taken(h stretch) string {
	text := fmt.Sprintf("%s lost %s on the server at %s", h.client, quoted(h.name), clock(h.to))
	for _, u := range s.untold {
		if u.client == h.client && u.name == h.name && u.token == h.token && u.end == lost {
			return text + fmt.Sprintf(", and was told %s later.", span(u.to-u.from))
		}
	}
	return text + "."
}

// quoted sets a name apart. It is visible already, so nothing is escaped twice.
func quoted(name string) string { return `"` + name + `"` }

func list(names []string) string {
	switch n := len(names); {
	case n == 1:
		return names[0]
	case n <= 3:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	default:
		return fmt.Sprintf("%d clients", n)
	}
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return thousands(n) + " times"
}

// clock writes a point in time of a check.
func clock(d time.Duration) string {
	if d == 0 {
		return "0 s"
	}
	return span(d)
}
