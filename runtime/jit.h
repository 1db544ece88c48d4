/* jit.h: the driver's own compiler, for machines without ptxas: PTX in, machine code out, so that it
 * can be kept and loaded by later processes without compiling. Threads and contexts as in cuda.h. */
#pragma once
#include "runtime/cuda.h"

/* Compiles `size` bytes of PTX for a device. The cubin is owned by the caller: free(). Errors:
 * OLD_DRIVER, REJECTED (with the log), CONTEXT, NO_CODE (not for this device), NO_MEMORY, ... */
rt_status rt_jit_compile(rt_cuda *cuda, int device, const char *ptx, size_t size, void **cubin,
	size_t *cubin_size, rt_error *err);
/* What a result depends on, for cache keys: "12080 libcuda.so.570.86.15 9.0": the driver's release
 * and file, the device's capability. Errors: ARGUMENT, DRIVER. */
rt_status rt_jit_version(rt_cuda *cuda, int device, char version[256], rt_error *err);
