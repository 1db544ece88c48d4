/* context: which CUDA context a call works in.
 * in:  a device, or RT_CURRENT        out: a context of it, current in the calling thread until
 * the scope is left
 * relies on: cuCtxGetId (12.0) failing for a destroyed context; older drivers are asked
 * cuCtxGetApiVersion. */
#include "runtime/cuda_internal.h"

bool rt_context_id(const rt_cuda *cuda, cu_context context, uint64_t *id)
{
	unsigned long long number = 0;
	unsigned version;

	*id = 0;
	if (!cuda->api.cuCtxGetId)
		return cuda->api.cuCtxGetApiVersion(context, &version) == CU_OK;
	if (cuda->api.cuCtxGetId(context, &number))
		return false;
	*id = number;
	return true;
}

static int find_device(const rt_cuda *cuda, cu_device handle)
{
	for (int d = 0; d < cuda->devices; d++)
		if (cuda->device[d].handle == handle)
			return d;
	return -1;
}

/* The primary context of a device, retained once for all. */
static rt_status retain_primary(rt_cuda *cuda, int device, cu_context *context, rt_error *err)
{
	cu_slot *slot = &cuda->device[device];
	cu_result r = CU_OK;

	*context = atomic_load_explicit(&slot->primary, memory_order_acquire);
	if (*context)
		return RT_OK;
	pthread_mutex_lock(&cuda->lock);
	*context = atomic_load_explicit(&slot->primary, memory_order_relaxed);
	if (!*context) {
		r = cuda->api.cuDevicePrimaryCtxRetain(context, slot->handle);
		if (r)
			*context = NULL;
		atomic_store_explicit(&slot->primary, *context, memory_order_release);
	}
	pthread_mutex_unlock(&cuda->lock);
	if (r)
		return rt_cuda_failed(
			cuda, err, r, "cuDevicePrimaryCtxRetain", "context of GPU %d", device);
	return RT_OK;
}

/* Forgets a primary context that somebody has reset (cudaDeviceReset): that released it. */
static void drop_primary(rt_cuda *cuda, int device, cu_context context)
{
	cu_context expected = context;

	pthread_mutex_lock(&cuda->lock);
	atomic_compare_exchange_strong(&cuda->device[device].primary, &expected, NULL);
	pthread_mutex_unlock(&cuda->lock);
}

static bool is_gone(cu_result r)
{
	return r == CU_INVALID_CONTEXT || r == CU_CONTEXT_DESTROYED;
}

static rt_status push_primary(rt_cuda *cuda, int device, rt_scope *scope, rt_error *err)
{
	for (int attempt = 0;; attempt++) {
		rt_status status = retain_primary(cuda, device, &scope->context, err);
		cu_context popped;
		cu_result r;

		if (status)
			return status;
		r = cuda->api.cuCtxPushCurrent(scope->context);
		if (!r) {
			if (rt_context_id(cuda, scope->context, &scope->id)) {
				scope->pushed = true;
				scope->device = device;
				return RT_OK;
			}
			cuda->api.cuCtxPopCurrent(&popped);
			r = CU_CONTEXT_DESTROYED;
		}
		if (!is_gone(r) || attempt > 0)
			return rt_cuda_failed(
				cuda, err, r, "cuCtxPushCurrent", "context of GPU %d", device);
		drop_primary(cuda, device, scope->context);
	}
}

/* Takes the current context if it will do; `found` says whether. */
static rt_status take_current(
	rt_cuda *cuda, int device, rt_scope *scope, bool *found, rt_error *err)
{
	cu_device handle;
	cu_result r = cuda->api.cuCtxGetCurrent(&scope->context);

	*found = false;
	if (r)
		return rt_cuda_failed(cuda, err, r, "cuCtxGetCurrent", "current context");
	if (!scope->context)
		return RT_OK;
	if ((r = cuda->api.cuCtxGetDevice(&handle)))
		return rt_cuda_failed(cuda, err, r, "cuCtxGetDevice", "current context");
	scope->device = find_device(cuda, handle);
	if (scope->device < 0 || (device != RT_CURRENT && scope->device != device))
		return RT_OK;
	if (!rt_context_id(cuda, scope->context, &scope->id))
		return rt_cuda_failed(
			cuda, err, CU_CONTEXT_DESTROYED, "cuCtxGetId", "current context");
	*found = true;
	return RT_OK;
}

rt_status rt_scope_enter(rt_cuda *cuda, int device, rt_scope *scope, rt_error *err)
{
	rt_status status;
	bool found;

	*scope = (rt_scope){0};
	if (device != RT_CURRENT && (device < 0 || device >= cuda->devices))
		return rt_error_set(err, RT_ARGUMENT, NULL,
			"there is no GPU %d: the driver sees %d", device, cuda->devices);
	status = take_current(cuda, device, scope, &found, err);
	if (status || found)
		return status;
	return push_primary(cuda, device == RT_CURRENT ? 0 : device, scope, err);
}

void rt_scope_leave(rt_cuda *cuda, const rt_scope *scope)
{
	cu_context popped;

	if (scope->pushed)
		cuda->api.cuCtxPopCurrent(&popped);
}

void rt_context_release(rt_cuda *cuda)
{
	for (int d = 0; d < cuda->devices; d++) {
		cu_context context = atomic_load(&cuda->device[d].primary);
		uint64_t id;

		if (context && rt_context_id(cuda, context, &id))
			cuda->api.cuDevicePrimaryCtxRelease(cuda->device[d].handle);
	}
}
