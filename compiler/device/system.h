/* system.h: the inside of a device_system, shared by system.c, code.c and kernel.c. */
#pragma once
#include "device/device.h"
#include <pthread.h>

/* A kernel that owns the blob, whose code is for `a`; NULL: out of memory. (kernel.c) */
device_kernel *device_wrap(device_system *s, const device_request *r, rt_blob *blob, const arch *a);
/* What an artifact holds, as a source that owns it; its code is for `a`. (code.c) */
rt_image_source device_artifact_source(rt_blob *b, const arch *a, rt_kernel_signature *k);
/* A request's artifact and the architecture of its code; NULL: reported. (code.c) */
rt_blob *device_find(device_system *s, const device_request *r, arena *a, diags *d,
	const arch **code_arch, device_times *t);

struct device_system {
	pthread_mutex_t lock; /* guards opening */
	char *cache_directory;
	device_options options;
	rt_gpu *gpu;
	bool own_gpu;
	rt_cache *cache;
	rt_ptxas *ptxas;
	bool ptxas_sought;
	_Atomic uint64_t compiles, hits;
};
