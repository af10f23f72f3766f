package conformance

import "testing"

// What a rig lacks is told by the power, with the checks that want it.
func TestWanting(t *testing.T) {
	var w wanting
	if s := w.String(); s != "" {
		t.Errorf("of nothing it says %q", s)
	}
	for _, c := range []struct {
		id    string
		needs []Power
		lacks Power
	}{
		{"W5", []Power{PowerLinks}, PowerLinks},
		{"E3", []Power{PowerCrash}, PowerCrash},
		{"E1", []Power{PowerCrash}, PowerCrash},
		{"N4", []Power{PowerCrash, PowerEvict}, PowerEvict},
	} {
		w.add(Check{ID: c.id, Needs: c.needs}, Result{Seen: lacking(c.lacks)})
	}
	w.add(Check{ID: "Y3"}, Result{Seen: "nobody could see who held a name"})
	want := "4 checks have shown nothing, because the rig lacks a power. It has a power by implementing the interface of that name:\n" +
		"  conformance.Crasher: E1 E3\n" +
		"  conformance.Evictor: N4\n" +
		"  conformance.Linker: W5"
	if got := w.String(); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}
