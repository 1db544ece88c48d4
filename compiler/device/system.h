/* system.h: the inside of a device_system, shared by system.c, code.c and kernel.c. */
#pragma once
#include "device/device.h"
#include <pthread.h>

/* A kernel that owns the blob, whose code is for `a`; NULL: out of memory. (kernel.c) */
device_kernel *device_wrap(device_system *s, rt_blob *blob, const arch *a);
/* The code behind an artifact's signature. (code.c) */
const char *device_artifact_code(rt_blob *b, size_t *size);

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
