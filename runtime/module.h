/* module.h: the code of one kernel, and its instances in the CUDA contexts that use it.
 *
 * A module copies its image and loads it into a context when it is first prepared for it or
 * launched there, once per context. Threads: all functions may be called at once for one module,
 * except rt_module_destroy, which needs every launch to be finished (the stream synchronised) and
 * every graph that captured one destroyed. A module must be destroyed before its rt_cuda is
 * closed. */
#pragma once
#include "runtime/cuda.h"

typedef struct rt_module rt_module;

typedef struct {
	const void *image;  /* PTX text, a cubin, or a fat binary */
	size_t size;        /* bytes; PTX without its terminating zero */
	const char *kernel; /* the entry's name */
	unsigned shared;    /* largest dynamic shared memory of a launch, in bytes */
} rt_module_source;

typedef struct {
	int registers;     /* a thread */
	int local_bytes;   /* a thread: stack and spills */
	int shared_bytes;  /* static, a block */
	int threads;       /* most in a block, by registers and launch bounds */
	int binary;        /* capability of the machine code: 90 */
	int blocks_per_sm; /* resident at once, with `threads_asked` and `shared` each */
} rt_module_info;

/* Makes a module; nothing is loaded yet. Errors: ARGUMENT, NO_MEMORY. */
rt_status rt_module_create(
	rt_cuda *cuda, const rt_module_source *source, rt_module **module, rt_error *err);
/* Unloads it from the contexts that still live. NULL is ignored. */
void rt_module_destroy(rt_module *module);
/* Loads the module for a device, so that launches there need no load. To be called before stream
 * capture. Errors: NO_CODE (the image is for other devices), REJECTED (with the log), RESOURCES
 * (shared memory), OLD_DRIVER, CONTEXT, DEVICE_MEMORY, ARGUMENT (no such kernel or device),
 * DRIVER. */
rt_status rt_module_prepare(rt_module *module, int device, rt_error *err);
/* Figures of the loaded kernel; prepares it. `threads_asked`: of the blocks that blocks_per_sm
 * counts. */
rt_status rt_module_describe(
	rt_module *module, int device, int threads_asked, rt_module_info *info, rt_error *err);
/* What the driver's compiler said so far, verbatim ("" for cubins); free() it. NULL: out of
 * memory. */
char *rt_module_log(rt_module *module);
/* Number of contexts that it has been loaded into. */
int rt_module_loads(rt_module *module);
