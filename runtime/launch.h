/* launch.h: start a kernel.
 *
 * A launch allocates nothing, waits for nothing and may be captured into a CUDA graph, provided
 * that the module has been prepared for the context; else the first launch loads it, and while the
 * stream is being captured that is refused with RT_CAPTURE. Any number of threads may launch one
 * module at once. */
#pragma once
#include "runtime/module.h"

typedef struct {
	int device;          /* whose context to work in: cuda.h */
	cu_stream stream;    /* of that context; NULL: the default stream */
	unsigned grid[3];    /* any 0: nothing to do, which is fine */
	unsigned block[3];   /* threads; 0 counts as 1 */
	unsigned cluster[3]; /* blocks; 0 counts as 1 */
	unsigned shared;     /* dynamic bytes a block, up to the module's */
	/* NULL: the parameters lie in the block as the kernel has them; else each one's address, in
	 * order: where the kernel has them is the driver's to know */
	void *const *each;
} rt_launch_config;

/* Starts the kernel with the arguments that lie in `parameters`, each at a multiple of its size,
 * as the kernel declares them; `size` is the end of the last one, without padding behind it (the
 * driver refuses more as RESOURCES). The block is copied before this returns. Errors: ARGUMENT,
 * CAPTURE, those of rt_module_prepare, and what the driver says of the launch or of earlier work in
 * the context. */
rt_status rt_launch(rt_module *module, const rt_launch_config *config, const void *parameters,
	size_t size, rt_error *err);
/* Whether a stream of the device is being captured. Errors: ARGUMENT, CONTEXT, DRIVER. */
rt_status rt_stream_capturing(
	rt_cuda *cuda, int device, cu_stream stream, bool *capturing, rt_error *err);
