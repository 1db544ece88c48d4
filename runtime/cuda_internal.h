/* cuda_internal.h: what the files of the GPU runtime share: the bound driver functions and the
 * contexts. */
#pragma once
#include "runtime/cuda.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

typedef struct {
#define CU_FN(name, version, suffix, need, parameters) cu_result(*name) parameters;
#include "runtime/cuda_api.def"
#undef CU_FN
} cu_api;

typedef struct {
	cu_device handle;
	_Atomic(cu_context) primary; /* NULL until it is first needed */
	_Atomic int capability;      /* 100 * major + minor; 0 until it is first needed */
} cu_slot;

struct rt_cuda {
	cu_api api;
	int version;
	int devices;
	cu_slot *device;      /* [devices] */
	pthread_mutex_t lock; /* guards retaining and dropping primary contexts */
	pid_t process;
	char path[512];
};

/* The context that a call works in. */
typedef struct {
	cu_context context;
	uint64_t id; /* unique in the process's life; 0 where the driver has no ids */
	int device;
	bool pushed;
} rt_scope;

/* cuda.c */

/* Fills `err` for a failed driver call: "WHAT: cuX failed with CUDA_ERROR_Y (n), text; remedy". */
rt_status rt_cuda_failed(const rt_cuda *cuda, rt_error *err, cu_result result, const char *call,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* context.c */

/* Makes a context of `device` current as cuda.h says; balance with rt_scope_leave. */
rt_status rt_scope_enter(rt_cuda *cuda, int device, rt_scope *scope, rt_error *err);
void rt_scope_leave(rt_cuda *cuda, const rt_scope *scope);
/* The id of a live context: false when the context is gone. */
bool rt_context_id(const rt_cuda *cuda, cu_context context, uint64_t *id);
/* Gives the retained primary contexts back. */
void rt_context_release(rt_cuda *cuda);
