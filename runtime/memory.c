/* memory: device memory, streams and timers.
 * in:  a device        out: one driver call, or two, made in a context of it */
#include "runtime/memory.h"
#include "runtime/cuda_internal.h"
#include <stdlib.h>

struct rt_timer {
	rt_cuda *cuda;
	int device;
	cu_event start, stop;
};

/* Leaves the scope and reports the call's result. */
static rt_status finish(
	rt_cuda *cuda, const rt_scope *scope, cu_result r, const char *call, rt_error *err)
{
	rt_scope_leave(cuda, scope);
	return r ? rt_cuda_failed(cuda, err, r, call, "GPU %d", scope->device) : RT_OK;
}

rt_status rt_memory_alloc(
	rt_cuda *cuda, int device, size_t bytes, cu_deviceptr *pointer, rt_error *err)
{
	rt_scope scope;
	rt_status status = rt_scope_enter(cuda, device, &scope, err);
	cu_result r;

	*pointer = 0;
	if (status)
		return status;
	r = cuda->api.cuMemAlloc(pointer, bytes ? bytes : 1);
	rt_scope_leave(cuda, &scope);
	if (!r)
		return RT_OK;
	*pointer = 0;
	return rt_cuda_failed(
		cuda, err, r, "cuMemAlloc", "%zu bytes on GPU %d", bytes, scope.device);
}

rt_status rt_memory_free(rt_cuda *cuda, int device, cu_deviceptr pointer, rt_error *err)
{
	rt_scope scope;
	rt_status status = pointer ? rt_scope_enter(cuda, device, &scope, err) : RT_OK;

	if (status || !pointer)
		return status;
	return finish(cuda, &scope, cuda->api.cuMemFree(pointer), "cuMemFree", err);
}

rt_status rt_memory_space(
	rt_cuda *cuda, int device, size_t *free_bytes, size_t *total_bytes, rt_error *err)
{
	rt_scope scope;
	rt_status status = rt_scope_enter(cuda, device, &scope, err);

	*free_bytes = *total_bytes = 0;
	if (status)
		return status;
	return finish(
		cuda, &scope, cuda->api.cuMemGetInfo(free_bytes, total_bytes), "cuMemGetInfo", err);
}

rt_status rt_memory_write(rt_cuda *cuda, int device, cu_deviceptr to, const void *from,
	size_t bytes, cu_stream stream, rt_error *err)
{
	rt_scope scope;
	rt_status status = bytes ? rt_scope_enter(cuda, device, &scope, err) : RT_OK;

	if (status || !bytes)
		return status;
	/* The host's memory is not pinned, so the driver has copied it when this returns. */
	return finish(cuda, &scope, cuda->api.cuMemcpyHtoDAsync(to, from, bytes, stream),
		"cuMemcpyHtoDAsync", err);
}

rt_status rt_memory_read(rt_cuda *cuda, int device, void *to, cu_deviceptr from, size_t bytes,
	cu_stream stream, rt_error *err)
{
	const char *call = "cuMemcpyDtoHAsync";
	rt_scope scope;
	rt_status status = rt_scope_enter(cuda, device, &scope, err);
	cu_result r = CU_OK;

	if (status)
		return status;
	if (bytes)
		r = cuda->api.cuMemcpyDtoHAsync(to, from, bytes, stream);
	if (!r) {
		call = "cuStreamSynchronize";
		r = cuda->api.cuStreamSynchronize(stream);
	}
	return finish(cuda, &scope, r, call, err);
}

rt_status rt_memory_fill(rt_cuda *cuda, int device, cu_deviceptr to, unsigned char value,
	size_t bytes, cu_stream stream, rt_error *err)
{
	rt_scope scope;
	rt_status status = bytes ? rt_scope_enter(cuda, device, &scope, err) : RT_OK;

	if (status || !bytes)
		return status;
	return finish(cuda, &scope, cuda->api.cuMemsetD8Async(to, value, bytes, stream),
		"cuMemsetD8Async", err);
}

/* --- streams --- */

rt_status rt_stream_create(rt_cuda *cuda, int device, cu_stream *stream, rt_error *err)
{
	rt_scope scope;
	rt_status status = rt_scope_enter(cuda, device, &scope, err);

	*stream = NULL;
	if (status)
		return status;
	return finish(cuda, &scope, cuda->api.cuStreamCreate(stream, CU_STREAM_NON_BLOCKING),
		"cuStreamCreate", err);
}

rt_status rt_stream_destroy(rt_cuda *cuda, int device, cu_stream stream, rt_error *err)
{
	rt_scope scope;
	rt_status status = stream ? rt_scope_enter(cuda, device, &scope, err) : RT_OK;

	if (status || !stream)
		return status;
	return finish(cuda, &scope, cuda->api.cuStreamDestroy(stream), "cuStreamDestroy", err);
}

rt_status rt_stream_wait(rt_cuda *cuda, int device, cu_stream stream, rt_error *err)
{
	rt_scope scope;
	rt_status status = rt_scope_enter(cuda, device, &scope, err);

	if (status)
		return status;
	return finish(
		cuda, &scope, cuda->api.cuStreamSynchronize(stream), "cuStreamSynchronize", err);
}

/* --- timers --- */

static cu_result create_events(rt_timer *t)
{
	cu_result r = t->cuda->api.cuEventCreate(&t->start, 0);

	if (r) {
		t->start = NULL;
		return r;
	}
	r = t->cuda->api.cuEventCreate(&t->stop, 0);
	if (r) {
		t->cuda->api.cuEventDestroy(t->start);
		t->start = t->stop = NULL;
	}
	return r;
}

rt_status rt_timer_create(rt_cuda *cuda, int device, rt_timer **timer, rt_error *err)
{
	rt_scope scope;
	rt_status status;
	rt_timer *t = calloc(1, sizeof *t);

	*timer = NULL;
	if (!t)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	status = rt_scope_enter(cuda, device, &scope, err);
	if (!status) {
		t->cuda = cuda;
		t->device = scope.device;
		status = finish(cuda, &scope, create_events(t), "cuEventCreate", err);
	}
	if (status)
		free(t);
	else
		*timer = t;
	return status;
}

void rt_timer_destroy(rt_timer *t)
{
	rt_scope scope;

	if (!t)
		return;
	if (rt_scope_enter(t->cuda, t->device, &scope, NULL) == RT_OK) {
		t->cuda->api.cuEventDestroy(t->start);
		t->cuda->api.cuEventDestroy(t->stop);
		rt_scope_leave(t->cuda, &scope);
	}
	free(t);
}

static rt_status record(rt_timer *t, cu_event event, cu_stream stream, rt_error *err)
{
	rt_scope scope;
	rt_status status = rt_scope_enter(t->cuda, t->device, &scope, err);

	if (status)
		return status;
	return finish(
		t->cuda, &scope, t->cuda->api.cuEventRecord(event, stream), "cuEventRecord", err);
}

rt_status rt_timer_start(rt_timer *t, cu_stream stream, rt_error *err)
{
	return record(t, t->start, stream, err);
}

rt_status rt_timer_stop(rt_timer *t, cu_stream stream, rt_error *err)
{
	return record(t, t->stop, stream, err);
}

rt_status rt_timer_read(rt_timer *t, double *milliseconds, rt_error *err)
{
	const char *call = "cuEventSynchronize";
	float time = 0;
	rt_scope scope;
	rt_status status = rt_scope_enter(t->cuda, t->device, &scope, err);
	cu_result r;

	*milliseconds = 0;
	if (status)
		return status;
	r = t->cuda->api.cuEventSynchronize(t->stop);
	if (!r) {
		call = "cuEventElapsedTime";
		r = t->cuda->api.cuEventElapsedTime(&time, t->start, t->stop);
	}
	*milliseconds = (double)time;
	return finish(t->cuda, &scope, r, call, err);
}
