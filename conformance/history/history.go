package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version is the version of the format of History.
const Version = 1

// An Instant is a time since the recording began. No two events of a recording
// share one: what was recorded later has the greater one. 0 means never.
type Instant = time.Duration

// A History is a recording of clients that competed for locks.
type History struct {
	Version  int            `json:"version"`
	About    string         `json:"about,omitempty"` // of a stored one: what it shows
	Backend  string         `json:"backend"`
	Server   string         `json:"server,omitempty"`
	TTL      time.Duration  `json:"ttl_ns"`
	Seed     uint64         `json:"seed"`
	Took     time.Duration  `json:"took_ns"`
	Attempts map[string]int `json:"attempts,omitempty"` // how the calls came out, for instance "try: held"

	Holds     []Hold     `json:"holds"`
	Faults    []Fault    `json:"faults,omitempty"`
	Sightings []Sighting `json:"sightings,omitempty"`
	Accesses  []Access   `json:"accesses,omitempty"`
	Registers []Register `json:"registers,omitempty"`
}

// A Hold is one level of a hold that a client was given: a call that returned a
// lock. Calls that did not are counted in Attempts only; one whose outcome is
// not known made nobody believe in anything.
type Hold struct {
	ID     int           `json:"id"`
	Client string        `json:"client"` // a client that was replaced after a crash has another label
	Name   string        `json:"name"`
	Owner  string        `json:"owner,omitempty"` // "": does not re-enter
	Token  uint64        `json:"token"`
	TTL    time.Duration `json:"ttl_ns"`

	Asked    Instant `json:"asked_ns"`              // just before the call
	Got      Instant `json:"got_ns"`                // just after it returned
	Deadline Instant `json:"deadline_ns"`           // the last that was read from the lock
	Release  Instant `json:"release_ns,omitempty"`  // just before Release was called
	Released Instant `json:"released_ns,omitempty"` // just after it returned
	Done     Instant `json:"done_ns,omitempty"`     // Done was seen to be closed
	Gone     Instant `json:"gone_ns,omitempty"`     // just before its client crashed or was closed

	Closed  bool   `json:"closed,omitempty"`  // Gone is a Close, which frees, not a crash
	Failure string `json:"failure,omitempty"` // what Release said, if it was not nil
	Lost    string `json:"lost,omitempty"`    // why, if Err was a loss
}

// The kinds of faults that a judge must know. Of others only the text counts.
const (
	Evict = "evict" // the hold of Name was removed on the server
	Break = "break" // the same by Break
	Link  = "link"  // something was wrong with the link of Client
)

// A Fault is a disturbance from outside.
type Fault struct {
	From   Instant `json:"from_ns"`
	To     Instant `json:"to_ns"`
	Kind   string  `json:"kind"`
	Client string  `json:"client,omitempty"`
	Name   string  `json:"name,omitempty"`
	Token  uint64  `json:"token,omitempty"`
	Text   string  `json:"text,omitempty"`
}

// A Sighting is what the server said about a name at some instant between From
// and To. Token 0 means that nobody held it. Client is empty where the backend
// does not tell.
type Sighting struct {
	From   Instant `json:"from_ns"`
	To     Instant `json:"to_ns"`
	Name   string  `json:"name"`
	Token  uint64  `json:"token,omitempty"`
	Client string  `json:"client,omitempty"`
}

// An Access is a read or write of the resource that a name guards, by a hold
// that presents its token.
type Access struct {
	At       Instant `json:"at_ns"`
	Hold     int     `json:"hold"`
	Write    bool    `json:"write,omitempty"`
	Accepted bool    `json:"accepted,omitempty"` // by the resource that refuses smaller tokens
}

// A Register is the end of the resource that a name guards. Each write that was
// accepted was to add one to what its hold had read. The control believes
// everybody.
type Register struct {
	Name          string `json:"name"`
	Accepted      int    `json:"accepted"`
	Refused       int    `json:"refused"`
	Value         int    `json:"value"`
	ControlWrites int    `json:"control_writes"`
	ControlValue  int    `json:"control_value"`
}

// Encode writes h as JSON, one line an event.
func Encode(w io.Writer, h *History) error {
	if err := h.check(); err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(h)
}

// Decode reads what Encode wrote. It refuses another version, unknown fields,
// and a history that contradicts itself.
func Decode(r io.Reader) (*History, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	h := new(History)
	if err := dec.Decode(h); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("history: there is something after the end")
	}
	return h, h.check()
}

func (h *History) check() error {
	if h.Version != Version {
		return fmt.Errorf("history: this is version %d, known is %d", h.Version, Version)
	}
	if h.TTL <= 0 {
		return errors.New("history: it has no TTL")
	}
	ids := make(map[int]bool)
	for i := range h.Holds {
		l := &h.Holds[i]
		switch {
		case ids[l.ID]:
			return fmt.Errorf("history: there are two holds %d", l.ID)
		case l.Client == "" || l.Name == "":
			return fmt.Errorf("history: hold %d has no client or no name", l.ID)
		case l.Asked <= 0 || l.Got < l.Asked:
			return fmt.Errorf("history: hold %d was got at %v and asked for at %v", l.ID, l.Got, l.Asked)
		case l.Release != 0 && l.Release < l.Got, l.Released != 0 && l.Released < l.Release:
			return fmt.Errorf("history: hold %d was released before it was got", l.ID)
		}
		ids[l.ID] = true
	}
	for _, a := range h.Accesses {
		if !ids[a.Hold] {
			return fmt.Errorf("history: an access names hold %d, which is not there", a.Hold)
		}
	}
	return nil
}
