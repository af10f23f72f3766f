/*
 * Lets the wall clock of one process differ from that of the machine. It is
 * loaded before the C library (LD_PRELOAD) and adds the number of seconds that
 * the file STEPTIME_FILE holds, as a 64-bit integer of this machine, which may
 * change at any time. Other clocks are left alone.
 *
 * libfaketime does more, and so much that it does not start under jemalloc,
 * with which Redis is built: it allocates before it can tell the time, and
 * jemalloc asks for the time before it can allocate.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("STEPTIME_FILE");
	int fd = path ? open(path, O_RDONLY) : -1;
	if (fd < 0)
		return;
	void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED)
		offset = page;
	close(fd);
}

static int64_t stepped(void) { return offset ? *offset : 0; }

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts);
	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += stepped();
	return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;
	(void)tz;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t)
{
	struct timespec ts;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return (time_t)-1;
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}
