/* backend: launches of compiled kernels.
 * in:  checked operands     out: a run on the CPU backend, the reference, or a GPU program, whose
 * launch may call the compiler for tensors that TMA cannot take */
#include "api/api.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
	const compiled_kernel *kernel;
	const api_operands *operands;
	const tkl_launch_args *args;
	int device;
} call;

static const compiled_kernel *compiled(const tkl_kernel *k)
{
	return (const compiled_kernel *)k;
}

static void destroy(tkl_kernel *kernel)
{
	compiled_kernel *k = (compiled_kernel *)kernel;

	host_destroy(k->host);
	device_destroy(k->gpu);
	arena_destroy(k->arena);
	free(k);
}

/* --- CPU --- */

static host_args host_args_of(const api_operands *o)
{
	return (host_args){.data = o->data,
		.stride = o->stride,
		.length = o->length,
		.param_int = o->param_int,
		.param_float = o->param_float};
}

static tkl_status run_host(void *user)
{
	const call *c = user;
	host_args args = host_args_of(c->operands);

	args.progress = c->args->progress;
	args.progress_user = c->args->progress_user;
	if (!host_launch(c->kernel->host, &args, c->kernel->base.context->pool))
		return api_fail(TKL_ERROR_MEMORY, "out of memory for the workspace");
	return TKL_OK;
}

static tkl_status launch_host(
	const tkl_kernel *k, const api_operands *o, const tkl_launch_args *args)
{
	return api_guard(run_host, &(call){compiled(k), o, args, 0});
}

static tkl_status host_bytes(const tkl_kernel *k, const api_operands *o, uint64_t *bytes)
{
	host_args args = host_args_of(o);

	*bytes = (uint64_t)host_workspace(
		compiled(k)->host, &args, rt_pool_threads(k->context->pool));
	return TKL_OK;
}

static const api_backend host_backend = {
	.launch = launch_host, .workspace = host_bytes, .destroy = destroy};

/* --- reference --- */

/* Tensors hold the spec's type, or f64 or f32 in its place. */
static sema_dtype dtype_of(DLDataType passed, sema_dtype declared)
{
	if (passed.code == kDLFloat && passed.bits == 64)
		return DTYPE_F64;
	return passed.code == kDLFloat && passed.bits == 32 ? DTYPE_F32 : declared;
}

static tkl_status run_reference(void *user)
{
	const call *c = user;
	const sema_spec *s = c->kernel->spec;
	const api_operands *o = c->operands;
	eval_tensor *tensor = calloc((size_t)s->tensor.count + 1, sizeof *tensor);
	eval_args args = {.spec = s,
		.length = o->length,
		.param_int = o->param_int,
		.param_float = o->param_float,
		.tensor = tensor,
		.pool = c->kernel->base.context->pool,
		.progress = c->args->progress,
		.progress_user = c->args->progress_user};
	const char *error;
	bool done;

	if (!tensor)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	for (int t = 0; t < s->tensor.count; t++) {
		tensor[t].data = o->data[t];
		tensor[t].dtype = dtype_of(o->dtype[t], s->tensor.item[t]->dtype);
		memcpy(tensor[t].stride, o->stride[t], sizeof tensor[t].stride);
	}
	done = eval_run(&args, &error);
	free(tensor);
	if (done)
		return TKL_OK;
	return api_fail(
		error == eval_out_of_memory ? TKL_ERROR_MEMORY : TKL_ERROR_RANGE, "%s", error);
}

static tkl_status launch_reference(
	const tkl_kernel *k, const api_operands *o, const tkl_launch_args *args)
{
	return api_guard(run_reference, &(call){compiled(k), o, args, 0});
}

static const api_backend reference_backend = {
	.wide = true, .launch = launch_reference, .destroy = destroy};

/* --- GPU --- */

static tkl_status run_gpu(void *user)
{
	const call *c = user;

	return api_gpu_launch(&c->kernel->base, c->operands, c->args);
}

static tkl_status launch_gpu(
	const tkl_kernel *k, const api_operands *o, const tkl_launch_args *args)
{
	return api_guard(run_gpu, &(call){compiled(k), o, args, 0});
}

static tkl_status run_prepare(void *user)
{
	const call *c = user;

	return api_gpu_prepare(&c->kernel->base, c->device);
}

static tkl_status prepare_gpu(const tkl_kernel *k, int device)
{
	return api_guard(run_prepare, &(call){compiled(k), NULL, NULL, device});
}

static const api_backend gpu_backend = {
	.gpu = true, .launch = launch_gpu, .prepare = prepare_gpu, .destroy = destroy};

const api_backend *api_backend_of(const compiled_kernel *k)
{
	return k->gpu ? &gpu_backend : k->host ? &host_backend : &reference_backend;
}
