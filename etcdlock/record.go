package etcdlock

import (
	"bytes"
	"encoding/json"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// A record is the value of a claim: for people to read, and for Break to find
// the client. The order of the queue and the lease decide; a record decides
// nothing. Mode leaves room for holds that are not exclusive.
type record struct {
	Mode     string `json:"mode"`
	Client   string `json:"client,omitempty"`
	Owner    string `json:"owner,omitempty"`
	Metadata string `json:"metadata,omitempty"`
	Session  string `json:"session,omitempty"` // where the client looks for notices
}

func (r record) encode() (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// readRecord reads what it can: a claim of concurrency.Mutex has no value.
func readRecord(value []byte) record {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return record{}
	}
	return r
}

func holderOf(kv *mvccpb.KeyValue) locker.Holder {
	r := readRecord(kv.Value)
	return locker.Holder{
		Client:   r.Client,
		Owner:    r.Owner,
		Metadata: r.Metadata,
		Token:    driver.Token(uint64(kv.CreateRevision)),
	}
}
