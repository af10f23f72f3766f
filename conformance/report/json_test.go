package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
)

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	var b bytes.Buffer
	if err := Encode(&b, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if want := sample(); !reflect.DeepEqual(got, want) {
		t.Errorf("a report changed on its way through JSON:\n got %+v\nwant %+v", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	const result = `{"id":"X1","rule":"r","group":"g","class":"required","verdict":"holds","seed":1,"repeat":"c","took_ns":1}`
	report := func(version, more, results string) string {
		return `{"version":` + version + `,"time":"2026-11-21T10:00:00Z","machine":"m"` + more +
			`,"backends":[{"backend":"b","server":"s","ttl_ns":1,"slack_ns":1,"took_ns":1,"results":[` + results + `]}]}`
	}
	for _, version := range []string{"1", "2"} {
		if r, err := Decode(strings.NewReader(report(version, "", result))); err != nil || r.Version != conformance.ReportVersion {
			t.Fatalf("the report that the others vary is refused in version %s: %v", version, err)
		}
	}
	for name, test := range map[string]struct{ in, says string }{
		"another version":  {report("3", "", result), "version 3"},
		"later in 1":       {report("1", "", strings.Replace(result, `"took_ns"`, `"recheck":"c","took_ns"`, 1)), "version 1 has not"},
		"no version":       {`{}`, "version 0"},
		"unknown field":    {report("1", `,"colour":"red"`, result), "colour"},
		"something after":  {report("1", "", result) + `{}`, "follows"},
		"unknown verdict":  {report("1", "", strings.Replace(result, "holds", "fine", 1)), `unknown verdict "fine"`},
		"one check twice":  {report("1", "", result+","+result), `"X1" is there twice`},
		"no ID":            {report("1", "", strings.Replace(result, "X1", "", 1)), "no ID"},
		"cut off":          {report("1", "", result)[:80], "EOF"},
		"not JSON":         {"<html>", "invalid"},
		"event before all": {report("1", "", strings.Replace(result, `"took_ns":1`, `"took_ns":1,"events":[{"at_ns":-1,"client":"A","kind":"wait"}]`, 1)), "before the beginning"},
	} {
		_, err := Decode(strings.NewReader(test.in))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error is %v, it should say %q", name, err, test.says)
		}
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	r := sample()
	r.Backends[0].Results[0].Verdict = "fine"
	if err := Encode(new(bytes.Buffer), r); err == nil {
		t.Error("an unknown verdict was written")
	}
}

func TestEveryVerdictHasALook(t *testing.T) {
	seen := make(map[string]conformance.Verdict)
	for _, v := range order {
		l, ok := looks[v]
		if !ok {
			t.Fatalf("%q cannot be shown", v)
		}
		if other, taken := seen[l.symbol]; taken {
			t.Errorf("%q and %q share the symbol %s", v, other, l.symbol)
		}
		seen[l.symbol] = v
	}
	if len(looks) != len(order) {
		t.Errorf("%d looks, %d in order", len(looks), len(order))
	}
}
