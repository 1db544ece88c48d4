/* system.h: the inside of a device_system, shared by system.c and kernel.c. */
#pragma once
#include "device/device.h"
#include <pthread.h>

struct device_system {
	pthread_mutex_t lock; /* guards opening */
	char *cache_directory;
	device_options options;
	_Atomic(rt_cuda *) cuda;
	rt_cache *cache;
	rt_ptxas *ptxas;
	bool ptxas_sought;
	_Atomic uint64_t compiles, hits, loads;
};
