package report

import (
	"flag"
	"os"
	"testing"
)

var keep = flag.String("keep", "", "write the sample's page to this file, to look at it")

func TestKeep(t *testing.T) {
	if *keep == "" {
		t.Skip("no -keep FILE was given")
	}
	f, err := os.Create(*keep)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := HTML(f, sample()); err != nil {
		t.Fatal(err)
	}
	if err := Text(os.Stdout, sample(), TextOptions{}); err != nil {
		t.Fatal(err)
	}
}
