package driver

import (
	"time"

	"golang.org/x/sys/unix"
)

// SystemClock is the clock for servers outside of this process.
func SystemClock() Clock {
	if _, err := boottime(); err != nil {
		return GoClock() // kernels before 2.6.39
	}
	return Clock{
		Now: time.Now,
		SinceBoot: func() time.Duration {
			d, err := boottime()
			if err != nil {
				// It worked when the clock was made, and no argument changed.
				panic("locker: CLOCK_BOOTTIME: " + err.Error())
			}
			return d
		},
		Suspends: true,
	}
}

func boottime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}
