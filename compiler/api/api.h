/* api.h: inside libtrikl. What the opaque types of include/trikl.h hold.
 *
 *   context.c    contexts, versions, status texts
 *   error.c      the thread's last message; our bugs caught and turned into TKL_ERROR_INTERNAL
 *   compile.c    text -> kernel
 *   signature.c  queries about a kernel
 *   tensor.c     DLTensors against the signature; the lengths that they imply
 *   overlap.c    whether two views touch the same element
 *   launch.c     arguments -> a run on the CPU backend or the reference
 *   gpu.c        GPU kernels: compiled, prepared, launched; the runtime's statuses as ours */
#pragma once
#include "trikl.h"
#include "device/device.h"
#include "host/host.h"
#include "runtime/pool.h"
#include "sema/sema.h"
#include <stdatomic.h>

struct tkl_context {
	_Atomic int users; /* the creator and every kernel */
	rt_pool *pool;
	device_system *system;
};

struct tkl_kernel {
	tkl_context *context;
	arena *arena; /* the checked spec and what the queries return */
	const sema_spec *spec;
	host_kernel *host; /* one of both, or neither: the reference runs it */
	device_kernel *gpu;
	int device; /* of the GPU kernel; RT_CURRENT: any */
	const char *target;
	const tkl_dimension **dimension; /* [tensors] -> [rank] */
};

/* --- error.c --- */

/* Sets the thread's message and gives `status` back. */
tkl_status api_fail(tkl_status status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same for a failure of the GPU runtime, with `what` before its message; clears `err`. */
tkl_status api_fail_runtime(rt_error *err, const char *what);

/* Calls fn(user); when it runs into our own bug, TKL_ERROR_INTERNAL. What fn had allocated may be
 * lost then. */
tkl_status api_guard(tkl_status (*fn)(void *user), void *user);

/* Copies a caller's versioned struct: what it lacks is zero; what we do not know must be zero.
 * `size` is ours. */
tkl_status api_copy_in(void *to, const void *from, size_t size, const char *what);
/* Copies a result into a caller's versioned struct as far as it reaches. */
tkl_status api_copy_out(void *to, const void *from, size_t size, const char *what);

/* --- context.c --- */

tkl_context *api_context_hold(tkl_context *c);

/* --- signature.c --- */

/* Fills what the queries return. */
void api_describe(tkl_kernel *k);
DLDataType api_dtype(sema_dtype t);

/* --- tensor.c --- */

/* What a launch needs of its tensors, once they are checked. In the launch's arena. */
typedef struct {
	void **data;       /* [tensors], byte_offset included; NULL: empty, or an output that is not
			      wanted */
	sema_dtype *dtype; /* [tensors] */
	const int64_t **stride; /* [tensors][rank] in elements */
	int64_t *length;        /* [lengths] */
	int device;             /* GPU kernels: where the tensors lie */
} api_operands;

/* Checks every tensor and length of a launch against the signature. */
tkl_status api_check_operands(
	const tkl_kernel *k, const tkl_launch_args *args, arena *a, api_operands *out);

/* --- gpu.c --- */

/* "cuda:1" or "sm_80": false for other targets. */
bool api_is_gpu_target(const char *target);
/* The device (RT_CURRENT for "sm_80") and architecture of a GPU target. */
tkl_status api_gpu_target(tkl_context *c, const char *target, int *device, const arch **a);
/* Queues a launch; int params in `i`, others in `f`. */
tkl_status api_gpu_launch(const tkl_kernel *k, const api_operands *o, const int64_t *i,
	const double *f, void *stream);

/* --- overlap.c --- */

/* The elements of a tensor in bytes from `base`. Sizes are positive. */
typedef struct {
	uintptr_t base;
	int64_t item; /* bytes of an element */
	int rank;
	int64_t size[SEMA_MAX_RANK], stride[SEMA_MAX_RANK]; /* stride in bytes */
} api_view;

/* Whether two index tuples of the view give overlapping elements. */
bool api_view_overlaps_itself(const api_view *v);
/* Whether the views share a byte. Exact, but for layouts so irregular that they would take too
 * long: then true. */
bool api_views_overlap(const api_view *x, const api_view *y);
