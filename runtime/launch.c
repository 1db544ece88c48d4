/* launch: start a kernel on a stream.
 * in:  a module, a grid, a block of parameters        out: the kernel is queued on the stream
 * relies on: rt_module_find, which takes no lock; everything slow happens on the first launch in a
 * context. */
#include "runtime/launch.h"
#include "runtime/module_internal.h"

static rt_status check(const rt_module *m, const rt_launch_config *c, size_t size, rt_error *err)
{
	if (c->shared > m->shared)
		return rt_error_set(err, RT_ARGUMENT, NULL,
			"kernel '%s' was made for %u bytes of dynamic shared memory, not %u",
			m->kernel, m->shared, c->shared);
	if (c->grid[0] > INT32_MAX || c->grid[1] > UINT16_MAX || c->grid[2] > UINT16_MAX)
		return rt_error_set(err, RT_ARGUMENT, NULL,
			"kernel '%s': a grid of %u x %u x %u blocks is larger than 2147483647 x "
			"65535 x 65535",
			m->kernel, c->grid[0], c->grid[1], c->grid[2]);
	if (size > 32764)
		return rt_error_set(err, RT_ARGUMENT, NULL,
			"kernel '%s': %zu bytes of parameters are more than 32764", m->kernel,
			size);
	return RT_OK;
}

static unsigned at_least_one(unsigned x)
{
	return x ? x : 1;
}

static cu_result start_clustered(
	const cu_api *cu, const rt_launch_config *c, cu_function function, void **extra)
{
	cu_launch_attribute cluster = {.id = CU_ATTRIBUTE_CLUSTER};
	cu_launch_config config = {.grid_x = c->grid[0],
		.grid_y = c->grid[1],
		.grid_z = c->grid[2],
		.block_x = at_least_one(c->block[0]),
		.block_y = at_least_one(c->block[1]),
		.block_z = at_least_one(c->block[2]),
		.shared = c->shared,
		.stream = c->stream,
		.attribute = &cluster,
		.attributes = 1};

	cluster.value.cluster.x = at_least_one(c->cluster[0]);
	cluster.value.cluster.y = at_least_one(c->cluster[1]);
	cluster.value.cluster.z = at_least_one(c->cluster[2]);
	return cu->cuLaunchKernelEx(&config, function, (void **)c->each, extra);
}

static rt_status start(rt_module *m, const rt_instance *in, const rt_launch_config *c,
	const void *parameters, size_t size, rt_error *err)
{
	const cu_api *cu = &m->cuda->api;
	bool clustered = c->cluster[0] > 1 || c->cluster[1] > 1 || c->cluster[2] > 1;
	void *extra[] = {(void *)(uintptr_t)CU_PARAM_POINTER, (void *)(uintptr_t)parameters,
		(void *)(uintptr_t)CU_PARAM_SIZE, &size, NULL};
	void **block = size && !c->each ? extra : NULL;
	cu_result r;

	if (clustered && !cu->cuLaunchKernelEx)
		return rt_error_set(err, RT_OLD_DRIVER, "cuLaunchKernelEx",
			"kernel '%s' uses thread block clusters: install a driver for CUDA 11.8 or "
			"newer",
			m->kernel);
	if (clustered)
		r = start_clustered(cu, c, in->function, block);
	else
		r = cu->cuLaunchKernel(in->function, c->grid[0], c->grid[1], c->grid[2],
			at_least_one(c->block[0]), at_least_one(c->block[1]),
			at_least_one(c->block[2]), c->shared, c->stream, (void **)c->each, block);
	if (!r)
		return RT_OK;
	return rt_cuda_failed(m->cuda, err, r, clustered ? "cuLaunchKernelEx" : "cuLaunchKernel",
		"kernel '%s' on GPU %d, grid %u x %u x %u", m->kernel, in->device, c->grid[0],
		c->grid[1], c->grid[2]);
}

/* "Implicit" counts: the default stream, while another stream that it waits for is captured. */
static rt_status is_capturing(
	const rt_cuda *cuda, cu_stream stream, bool *capturing, unsigned *result, rt_error *err)
{
	unsigned capture = CU_CAPTURE_NONE;

	*result = cuda->api.cuStreamIsCapturing(stream, &capture);
	*capturing = *result || capture != CU_CAPTURE_NONE;
	if (*result && *result != CU_CAPTURE_IMPLICIT)
		return rt_cuda_failed(cuda, err, *result, "cuStreamIsCapturing", "the stream");
	return RT_OK;
}

rt_status rt_stream_capturing(
	rt_cuda *cuda, int device, cu_stream stream, bool *capturing, rt_error *err)
{
	unsigned result;
	rt_scope scope;
	rt_status status = rt_scope_enter(cuda, device, &scope, err);

	if (status)
		return status;
	status = is_capturing(cuda, stream, capturing, &result, err);
	rt_scope_leave(cuda, &scope);
	return status;
}

/* Loads for the scope's context, unless the stream is being captured. */
static rt_status load(rt_module *m, const rt_scope *scope, cu_stream stream, const rt_instance **in,
	rt_error *err)
{
	bool capturing;
	unsigned result;
	rt_status status = is_capturing(m->cuda, stream, &capturing, &result, err);

	if (status)
		return status;
	if (!capturing)
		return rt_module_load(m, scope, in, err);
	rt_error_set(err, RT_CAPTURE, "cuStreamIsCapturing",
		"kernel '%s' is not loaded on GPU %d, and its stream is being captured: prepare it "
		"before the capture",
		m->kernel, scope->device);
	if (err)
		err->result = result;
	return RT_CAPTURE;
}

/* The instance in the calling thread's own context; NULL: none current, another device's, or not
 * loaded. */
static const rt_instance *find_current(rt_module *m, int device)
{
	const rt_instance *in;
	cu_context context;
	uint64_t id;

	if (m->cuda->api.cuCtxGetCurrent(&context) || !context ||
		!rt_context_id(m->cuda, context, &id))
		return NULL;
	in = rt_module_find(m, context, id);
	return in && (device == RT_CURRENT || in->device == device) ? in : NULL;
}

rt_status rt_launch(
	rt_module *m, const rt_launch_config *c, const void *parameters, size_t size, rt_error *err)
{
	rt_status status = check(m, c, size, err);
	const rt_instance *in;
	rt_scope scope;

	if (status || c->grid[0] == 0 || c->grid[1] == 0 || c->grid[2] == 0)
		return status;
	in = find_current(m, c->device);
	if (in)
		return start(m, in, c, parameters, size, err);
	status = rt_scope_enter(m->cuda, c->device, &scope, err);
	if (status)
		return status;
	in = rt_module_find(m, scope.context, scope.id);
	if (!in)
		status = load(m, &scope, c->stream, &in, err);
	if (!status)
		status = start(m, in, c, parameters, size, err);
	rt_scope_leave(m->cuda, &scope);
	return status;
}
