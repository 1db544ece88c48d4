/* api.h: inside libtrikl and libtrikl-rt. What the opaque types of include/trikl.h hold, and the
 * functions that both libraries share; libtrikl adds tkl_compile (compiler/api/).
 *
 *   context.c    contexts, versions, counters
 *   error.c      the thread's last message, status texts, structs that may grow
 *   signature.c  queries about a kernel
 *   tensor.c     DLTensors against the interface; the lengths that they imply
 *   overlap.c    whether two views touch the same element
 *   launch.c     arguments, checked, handed to the kernel's backend
 *   gpu.c        the backend of GPU programs: prepare, launch
 *   bundle.c     kernels from bundles */
#pragma once
#include "runtime/gpu.h"
#include "runtime/interface.h"
#include "runtime/pool.h"
#include "runtime/program.h"
#include "trikl.h"
#include <pthread.h>
#include <stdatomic.h>

struct tkl_context {
	_Atomic int users; /* the creator and every kernel */
	rt_pool *pool;
	rt_gpu *gpu;
	tkl_context_options options; /* with its own copy of the directory */
	char *cache_directory;
	pthread_mutex_t lock; /* guards attaching */
	void *attached;       /* the compiler's part, made when it is first needed; NULL */
	void (*detach)(void *attached);
	void (*count)(void *attached, tkl_counters *n); /* fills what it knows */
};

/* Tensors and values of one launch, once they are checked. */
typedef struct {
	void **data; /* [tensors], byte_offset included; NULL: empty, or an output that is not wanted */
	DLDataType *dtype;      /* [tensors]: as passed */
	const int64_t **stride; /* [tensors][rank] in elements */
	int64_t *length;        /* [lengths] */
	int64_t *param_int;     /* [params] */
	double *param_float;
	int device; /* GPU kernels: where the tensors lie */
} api_operands;

typedef struct {
	bool gpu;  /* tensors lie on a GPU, a stream is taken */
	bool wide; /* f64 and f32 are taken in the place of any floating type */
	tkl_status (*launch)(
		const tkl_kernel *kernel, const api_operands *o, const tkl_launch_args *args);
	/* NULL: there is nothing to prepare */
	tkl_status (*prepare)(const tkl_kernel *kernel, int device);
	/* NULL: a launch takes no memory */
	tkl_status (*workspace)(const tkl_kernel *kernel, const api_operands *o, uint64_t *bytes);
	void (*destroy)(tkl_kernel *kernel); /* frees all but the context */
} api_backend;

/* The first member of each backend's kernels. */
struct tkl_kernel {
	tkl_context *context;
	const api_backend *backend;
	rt_interface interface;
	rt_program *program; /* GPU kernels */
	int device;          /* of a GPU kernel; RT_CURRENT: any */
	const char *target;
};

/* --- error.c --- */

/* Sets the thread's message and gives `status` back. */
tkl_status api_fail(tkl_status status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a failure of the GPU runtime, with `what` before its message; clears `err`. */
tkl_status api_fail_runtime(rt_error *err, const char *what);
/* Copies a caller's versioned struct: what it lacks is zero; what we do not know must be zero.
 * `size` is ours. */
tkl_status api_copy_in(void *to, const void *from, size_t size, const char *what);
/* Copies a result into a caller's versioned struct as far as it reaches. */
tkl_status api_copy_out(void *to, const void *from, size_t size, const char *what);

/* --- context.c --- */

tkl_context *api_context_hold(tkl_context *c);

/* --- tensor.c --- */

/* Checks every tensor and length of a launch against the interface; the arrays of `out` are there.
 * `scratch`: api_scratch_bytes(). */
tkl_status api_check_operands(
	const tkl_kernel *k, const tkl_launch_args *args, void *scratch, api_operands *out);
size_t api_scratch_bytes(const rt_interface *i);

/* --- gpu.c --- */

tkl_status api_gpu_launch(
	const tkl_kernel *kernel, const api_operands *o, const tkl_launch_args *args);
tkl_status api_gpu_prepare(const tkl_kernel *kernel, int device);

/* --- overlap.c --- */

/* The elements of a tensor in bytes from `base`. Sizes are positive. */
typedef struct {
	uintptr_t base;
	int64_t item; /* bytes of an element */
	int rank;
	int64_t size[RT_INTERFACE_RANK], stride[RT_INTERFACE_RANK]; /* stride in bytes */
} api_view;

/* Whether two index tuples of the view give overlapping elements. */
bool api_view_overlaps_itself(const api_view *v);
/* Whether the views share a byte. Exact, but for layouts so irregular that they would take too
 * long: then true. */
bool api_views_overlap(const api_view *x, const api_view *y);
