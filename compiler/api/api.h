/* api.h: inside libtrikl: kernels that are compiled from text. What launches them is shared with
 * libtrikl-rt (runtime/api/api.h).
 *
 *   compile.c    text -> kernel
 *   backend.c    launches: CPU, reference, and GPU programs with the compiler behind them
 *   target.c     names of GPU targets
 *   guard.c      our bugs and the end of memory, caught and turned into a status */
#pragma once
#include "device/device.h"
#include "host/host.h"
#include "runtime/api/api.h"
#include "sema/sema.h"

/* A kernel made by tkl_compile. */
typedef struct {
	tkl_kernel base;
	arena *arena; /* the checked spec and what the queries return */
	const sema_spec *spec;
	host_kernel *host; /* one of both, or neither: the reference runs it */
	device_kernel *gpu;
} compiled_kernel;

/* --- guard.c --- */

/* Calls fn(user); when it runs into our own bug, TKL_ERROR_INTERNAL, out of memory
 * TKL_ERROR_MEMORY. What fn had allocated may be lost then. */
tkl_status api_guard(tkl_status (*fn)(void *user), void *user);

/* --- backend.c --- */

/* The backend for what a kernel holds. */
const api_backend *api_backend_of(const compiled_kernel *k);

/* --- target.c --- */

/* "cuda:1" or "sm_80": false for other targets. */
bool api_is_gpu_target(const char *target);
/* What GPU kernels of the context share, made when it is first needed; NULL: out of memory. */
device_system *api_system(tkl_context *c);
/* The device (RT_CURRENT for "sm_80") and architecture of a GPU target. */
tkl_status api_gpu_target(tkl_context *c, const char *target, int *device, const arch **a);
