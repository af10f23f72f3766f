package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lockerlib/locker/conformance"
)

// A shape is the part of JSON schema that ours uses. Anything else in it is an
// error, so that nothing is written there that this test would not see.
type shape struct {
	Schema      string           `json:"$schema"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Ref         string           `json:"$ref"`
	Defs        map[string]shape `json:"$defs"`
	Type        any              `json:"type"`
	Format      string           `json:"format"`
	Enum        []any            `json:"enum"`
	Required    []string         `json:"required"`
	Properties  map[string]shape `json:"properties"`
	Additional  *bool            `json:"additionalProperties"`
	Items       *shape           `json:"items"`
}

func readSchema(t *testing.T) shape {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(Schema()))
	dec.DisallowUnknownFields()
	var s shape
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s shape) follow(root shape) shape {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return root.Defs[name]
	}
	return s
}

// validate returns what is wrong with v.
func (s shape) validate(root shape, path string, v any) (faults []string) {
	s = s.follow(root)
	types, ok := s.Type.([]any)
	if !ok {
		types = []any{s.Type}
	}
	if !slices.ContainsFunc(types, func(want any) bool { return isType(v, want) }) {
		return []string{fmt.Sprintf("%s is %T, not %v", path, v, types)}
	}
	if s.Enum != nil && !slices.ContainsFunc(s.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		faults = append(faults, fmt.Sprintf("%s is %v, not one of %v", path, v, s.Enum))
	}
	switch v := v.(type) {
	case map[string]any:
		for _, r := range s.Required {
			if _, ok := v[r]; !ok {
				faults = append(faults, fmt.Sprintf("%s lacks %q", path, r))
			}
		}
		for name, value := range v {
			p, ok := s.Properties[name]
			if !ok {
				faults = append(faults, fmt.Sprintf("%s has %q, which the schema does not know", path, name))
				continue
			}
			faults = append(faults, p.validate(root, path+"."+name, value)...)
		}
	case []any:
		for i, value := range v {
			faults = append(faults, s.Items.validate(root, fmt.Sprintf("%s[%d]", path, i), value)...)
		}
	}
	return faults
}

func isType(v, want any) bool {
	switch v := v.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case json.Number:
		return want == "integer" && !strings.ContainsAny(v.String(), ".eE")
	case map[string]any:
		return want == "object"
	case []any:
		return want == "array"
	}
	return false
}

func decodeAny(t *testing.T, b []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReportsAreOfTheSchema(t *testing.T) {
	s := readSchema(t)
	for name, r := range map[string]*conformance.Report{
		"everything": sample(),
		"nothing":    {Version: conformance.ReportVersion},
	} {
		var b bytes.Buffer
		if err := Encode(&b, r); err != nil {
			t.Fatal(err)
		}
		if faults := s.validate(s, name, decodeAny(t, b.Bytes())); faults != nil {
			t.Errorf("%q", faults)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := readSchema(t)
	for _, in := range []string{
		`{}`, `[]`, `{"version":3,"time":"","machine":"","backends":[]}`,
		`{"version":1,"time":"","machine":"","backends":[{}]}`,
		`{"version":1,"time":"","machine":"","backends":[],"colour":"red"}`,
		`{"version":1.5,"time":"","machine":"","backends":[]}`,
		`{"version":1,"time":7,"machine":"","backends":[]}`,
	} {
		if s.validate(s, "report", decodeAny(t, []byte(in))) == nil {
			t.Errorf("%s was accepted", in)
		}
	}
}

// The schema has the fields of the types, in both directions, and demands those
// that are always written.
func TestSchemaHasTheFieldsOfTheTypes(t *testing.T) {
	s := readSchema(t)
	for _, test := range []struct {
		name string
		s    shape
		of   reflect.Type
	}{
		{"report", s, reflect.TypeFor[conformance.Report]()},
		{"backend", s.Defs["backend"], reflect.TypeFor[conformance.BackendReport]()},
		{"result", s.Defs["result"], reflect.TypeFor[conformance.Result]()},
		{"event", s.Defs["event"], reflect.TypeFor[conformance.Event]()},
	} {
		var fields, always []string
		for i := range test.of.NumField() {
			name, rest, _ := strings.Cut(test.of.Field(i).Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			fields = append(fields, name)
			if rest == "" {
				always = append(always, name)
			}
		}
		for _, f := range fields {
			if _, ok := test.s.Properties[f]; !ok {
				t.Errorf("%s: the schema lacks %q", test.name, f)
			}
		}
		if len(test.s.Properties) != len(fields) {
			t.Errorf("%s: the schema has %d properties, the type %d fields", test.name, len(test.s.Properties), len(fields))
		}
		if !slices.Equal(test.s.Required, always) {
			t.Errorf("%s: the schema requires %q, always written are %q", test.name, test.s.Required, always)
		}
		if test.s.Additional == nil || *test.s.Additional {
			t.Errorf("%s: the schema allows what it does not know", test.name)
		}
	}
}
