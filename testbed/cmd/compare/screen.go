package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A screen says what can be done with an output.
type screen struct {
	terminal bool
	width    int // columns; 0: not known
}

// A stream is an output.
type stream struct {
	io.Writer
	screen
}

func screenOf(f *os.File) screen {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return screen{}
	}
	return screen{terminal: true, width: int(size.Col)}
}

// live reports whether lines can be drawn over.
func (s screen) live() bool { return s.terminal && os.Getenv("TERM") != "dumb" }

// colour follows no-color.org.
func (s screen) colour() bool { return s.live() && os.Getenv("NO_COLOR") == "" }
