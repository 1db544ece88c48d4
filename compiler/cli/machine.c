/* machine.c: what this process may use. */
#include "cli/problem.h"
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int64_t machine_memory(void)
{
	int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	static const char *const limits[] = {
		"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(limits[i], "r");
		long long v;
		if (f && fscanf(f, "%lld", &v) == 1 && v > 0 && v < memory)
			memory = v;
		if (f)
			fclose(f);
	}
	return memory;
}

int machine_cores(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		return CPU_COUNT(&set);
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (int)n : 1;
}
