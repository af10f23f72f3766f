package redislock

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
)

// A reply reads the answer of a script. The first thing that is not as it
// should be becomes err, and everything read from then on is zero.
type reply struct {
	values []any
	err    error
}

func newReply(value any) *reply {
	values, ok := value.([]any)
	if !ok {
		return &reply{err: fmt.Errorf("redislock: a script answered %T instead of a list", value)}
	}
	return &reply{values: values}
}

func (r *reply) at(i int) any {
	if r.err == nil && i < len(r.values) {
		return r.values[i]
	}
	r.fail(i)
	return nil
}

func (r *reply) fail(i int) {
	if r.err == nil {
		r.err = fmt.Errorf("redislock: a script's answer is not as expected at %d of %d", i, len(r.values))
	}
}

func (r *reply) text(i int) string {
	s, ok := r.at(i).(string)
	if !ok {
		r.fail(i)
	}
	return s
}

func (r *reply) list(i int) *reply {
	inner := newReply(r.at(i))
	if inner.err != nil {
		r.fail(i)
	}
	return inner
}

func (r *reply) number(i int) int64 {
	switch v := r.at(i).(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	}
	r.fail(i)
	return 0
}

func (r *reply) tenure(i int) uint64 {
	n := r.number(i)
	if n <= 0 || n > driver.MaxTenure {
		r.fail(i)
		return 0
	}
	return uint64(n)
}

// holder reads tenure, since, remaining and info from i on.
func (r *reply) holder(i int) locker.Holder {
	tenure, since, remaining := r.number(i), r.number(i+1), r.number(i+2)
	if tenure <= 0 {
		return locker.Holder{}
	}
	about := parseInfo(r.text(i + 3))
	return locker.Holder{
		Client:    about.Client,
		Owner:     about.Owner,
		Metadata:  about.Metadata,
		Token:     driver.Token(uint64(tenure)),
		Since:     time.UnixMicro(since),
		Remaining: millis(remaining),
	}
}

// millis converts what PTTL gives: negative if there is no key or no expiry.
func millis(n int64) time.Duration { return time.Duration(max(n, 0)) * time.Millisecond }

// info is what others may read about a claim. Scripts store it as they got it.
type info struct {
	Client   string `json:"client,omitempty"`
	Owner    string `json:"owner,omitempty"`
	Metadata string `json:"metadata,omitempty"`
}

func (i info) encode() string {
	text, err := json.Marshal(i)
	if err != nil {
		panic("redislock: " + err.Error()) // three strings can always be encoded
	}
	return string(text)
}

// parseInfo reads an info; what cannot be read, because somebody else wrote the
// key, is zero.
func parseInfo(text string) (i info) {
	if json.Unmarshal([]byte(text), &i) != nil {
		return info{}
	}
	return i
}
