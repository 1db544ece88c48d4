/* memory.h: device memory, streams and timing for the command line and tests. The library itself
 * takes both from its caller. Contexts and threads as in cuda.h: calls for one device must all be
 * made with the same context current, or with none. */
#pragma once
#include "runtime/cuda.h"

typedef struct rt_timer rt_timer;

/* `bytes` of device memory, aligned to 256; 0 bytes give a pointer too. Errors: DEVICE_MEMORY,
 * CONTEXT, ... */
rt_status rt_memory_alloc(
	rt_cuda *cuda, int device, size_t bytes, cu_deviceptr *pointer, rt_error *err);
/* 0 is ignored. */
rt_status rt_memory_free(rt_cuda *cuda, int device, cu_deviceptr pointer, rt_error *err);
rt_status rt_memory_space(
	rt_cuda *cuda, int device, size_t *free_bytes, size_t *total_bytes, rt_error *err);
/* Copies to the device. `from` may be reused when it returns. */
rt_status rt_memory_write(rt_cuda *cuda, int device, cu_deviceptr to, const void *from,
	size_t bytes, cu_stream stream, rt_error *err);
/* Copies from the device and waits for the stream: also reports faults of kernels before it. */
rt_status rt_memory_read(rt_cuda *cuda, int device, void *to, cu_deviceptr from, size_t bytes,
	cu_stream stream, rt_error *err);
/* Sets each of `bytes` bytes, in the order of the stream. */
rt_status rt_memory_fill(rt_cuda *cuda, int device, cu_deviceptr to, unsigned char value,
	size_t bytes, cu_stream stream, rt_error *err);

/* A stream of its own, not ordered with the default stream. */
rt_status rt_stream_create(rt_cuda *cuda, int device, cu_stream *stream, rt_error *err);
rt_status rt_stream_destroy(rt_cuda *cuda, int device, cu_stream stream, rt_error *err);
/* Waits until all work of the stream is done. */
rt_status rt_stream_wait(rt_cuda *cuda, int device, cu_stream stream, rt_error *err);

/* Measures the time on the device between two points of a stream. One thread at a time. */
rt_status rt_timer_create(rt_cuda *cuda, int device, rt_timer **timer, rt_error *err);
void rt_timer_destroy(rt_timer *timer);
rt_status rt_timer_start(rt_timer *timer, cu_stream stream, rt_error *err);
rt_status rt_timer_stop(rt_timer *timer, cu_stream stream, rt_error *err);
/* Waits for the second point. */
rt_status rt_timer_read(rt_timer *timer, double *milliseconds, rt_error *err);
