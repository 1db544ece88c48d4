/* cuda.h: the CUDA driver, loaded at run time, and its devices.
 *
 * Layers: cuda.h (driver, devices, contexts) <- module.h (one kernel's code, loaded per context)
 * <- launch.h; memory.h (for the command line) stands on cuda.h; ptxas.h needs no driver. Link:
 * trikl_cuda.
 *
 * Threads: an rt_cuda may be used by any number of threads at once. Destroying one while it is
 * used is a mistake, and it must outlive the modules, streams and timers made with it. After
 * fork() a child must not use it.
 *
 * Contexts: calls with a `device` work in the calling thread's current context when that belongs
 * to the device (or the device is RT_CURRENT), else in the device's primary context, which is
 * retained until rt_cuda_close. The thread's current context is the same after each call as
 * before. */
#pragma once
#include "runtime/cuda_types.h"
#include "runtime/error.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct rt_cuda rt_cuda;

enum { RT_CURRENT = -1 }; /* as a device: that of the current context, 0 where there is none */

typedef struct {
	int ordinal;
	char name[256];
	unsigned char uuid[16]; /* zero where the driver does not tell */
	int major, minor;       /* compute capability */
	int sms, clock_khz;     /* clock: the boost clock, 0 where the driver does not tell */
	int shared_block, shared_sm, registers_sm, threads_block, threads_sm, blocks_sm;
	int l2_bytes, memory_clock_khz, bus_bits;
	int compute_mode; /* 0 default, 2 prohibited, 3 one process alone */
	bool ecc, integrated;
	uint64_t memory_bytes;
} rt_device_info;

/* cuda.c */

/* Loads the driver library and initialises it. `path` NULL: $TRIKL_LIBCUDA where set and not
 * running with raised privileges, else libcuda.so.1. Errors: NO_DRIVER, OLD_DRIVER (before CUDA
 * 11.0: the message names the missing function), NO_DEVICE, NO_MEMORY, DRIVER. The library stays
 * loaded until the process ends. */
rt_status rt_cuda_open(const char *path, rt_cuda **cuda, rt_error *err);
/* Releases the primary contexts. NULL is ignored. */
void rt_cuda_close(rt_cuda *cuda);
/* The CUDA release that the driver supports, as 12080 for 12.8. */
int rt_cuda_version(const rt_cuda *cuda);
/* The file that the driver was loaded from. */
const char *rt_cuda_path(const rt_cuda *cuda);
/* Number of devices, at least 1. */
int rt_cuda_devices(const rt_cuda *cuda);

/* device.c */

/* What the driver tells about a device. Errors: ARGUMENT, DRIVER. */
rt_status rt_cuda_device(rt_cuda *cuda, int device, rt_device_info *info, rt_error *err);
/* Compute capability, asked for once: 100 * major + minor, 900 for 9.0. Errors: ARGUMENT, DRIVER. */
rt_status rt_cuda_capability(rt_cuda *cuda, int device, int *capability, rt_error *err);
/* The device of the current context, 0 where there is none. */
rt_status rt_cuda_current(rt_cuda *cuda, int *device, rt_error *err);
