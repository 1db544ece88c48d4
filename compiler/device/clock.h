/* clock.h: milliseconds on a clock that only goes forward. */
#pragma once
#include <time.h>

static inline double device_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
