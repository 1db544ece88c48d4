/* launch: the arguments of a launch, checked, handed to the CPU backend, a GPU or the reference. */
#include "api/api.h"
#include <string.h>

enum { LAUNCH_MEMORY = 6 << 10 }; /* for most specs a launch allocates nothing */

typedef struct {
	const tkl_kernel *kernel;
	tkl_launch_args args;
	arena *arena;
} launch;

typedef struct {
	int64_t *i; /* [params] */
	double *f;
} param_values;

static tkl_status set_params(const launch *l, param_values *v)
{
	const sema_spec *s = l->kernel->spec;

	v->i = ARENA_ARRAY(l->arena, int64_t, s->param.count);
	v->f = ARENA_ARRAY(l->arena, double, s->param.count);
	for (int p = 0; p < s->param.count; p++) {
		v->i[p] = s->param.item[p]->i;
		v->f[p] = s->param.item[p]->f;
	}
	for (size_t n = 0; n < l->args.param_count; n++) {
		const tkl_param *given = &l->args.params[n];

		if (given->index < 0 || given->index >= s->param.count)
			return api_fail(TKL_ERROR_ARGUMENT, "'%s' has %d params, no number %d",
				s->name, s->param.count, given->index);
		if (s->param.item[given->index]->type == TYPE_INT)
			v->i[given->index] = given->value.i;
		else
			v->f[given->index] = given->value.f;
	}
	return TKL_OK;
}

static tkl_status run_host(const launch *l, const api_operands *o, const param_values *v)
{
	host_args args = {.data = o->data,
		.stride = o->stride,
		.length = o->length,
		.param_int = v->i,
		.param_float = v->f,
		.progress = l->args.progress,
		.progress_user = l->args.progress_user};

	if (!host_launch(l->kernel->host, &args, l->kernel->context->pool))
		return api_fail(TKL_ERROR_MEMORY, "out of memory for the workspace");
	return TKL_OK;
}

static tkl_status run_reference(const launch *l, const api_operands *o, const param_values *v)
{
	const sema_spec *s = l->kernel->spec;
	eval_tensor *tensor = ARENA_ARRAY(l->arena, eval_tensor, s->tensor.count);
	eval_args args = {.spec = s,
		.length = o->length,
		.param_int = v->i,
		.param_float = v->f,
		.tensor = tensor,
		.pool = l->kernel->context->pool,
		.progress = l->args.progress,
		.progress_user = l->args.progress_user};
	const char *error;

	for (int t = 0; t < s->tensor.count; t++) {
		tensor[t].data = o->data[t];
		tensor[t].dtype = o->dtype[t];
		if (o->stride[t])
			memcpy(tensor[t].stride, o->stride[t], sizeof tensor[t].stride);
	}
	if (eval_run(&args, &error))
		return TKL_OK;
	return api_fail(
		error == eval_out_of_memory ? TKL_ERROR_MEMORY : TKL_ERROR_RANGE, "%s", error);
}

static tkl_status check_counts(const launch *l)
{
	const tkl_launch_args *a = &l->args;
	int tensors = l->kernel->spec->tensor.count;

	if (a->tensor_count != (size_t)tensors)
		return api_fail(TKL_ERROR_ARGUMENT, "'%s' has %d tensors, but %zu are passed",
			l->kernel->spec->name, tensors, a->tensor_count);
	if (tensors && !a->tensors)
		return api_fail(TKL_ERROR_ARGUMENT, "tensors is NULL");
	if (a->param_count && !a->params)
		return api_fail(TKL_ERROR_ARGUMENT, "params is NULL");
	if (a->length_count && !a->lengths)
		return api_fail(TKL_ERROR_ARGUMENT, "lengths is NULL");
	if (a->stream && !l->kernel->gpu)
		return api_fail(TKL_ERROR_ARGUMENT, "stream must be NULL on the CPU");
	return TKL_OK;
}

static tkl_status run_launch(void *user)
{
	launch *l = user;
	api_operands operands;
	param_values values;
	tkl_status status = check_counts(l);

	if (!status)
		status = set_params(l, &values);
	if (!status)
		status = api_check_operands(l->kernel, &l->args, l->arena, &operands);
	if (status)
		return status;
	if (l->kernel->gpu)
		return api_gpu_launch(l->kernel, &operands, values.i, values.f, l->args.stream);
	return l->kernel->host ? run_host(l, &operands, &values)
			       : run_reference(l, &operands, &values);
}

tkl_status tkl_launch(const tkl_kernel *kernel, const tkl_launch_args *args)
{
	_Alignas(max_align_t) unsigned char memory[LAUNCH_MEMORY];
	launch l = {.kernel = kernel};
	tkl_status status;

	if (!kernel || !args)
		return api_fail(TKL_ERROR_ARGUMENT, "the kernel or its arguments are NULL");
	status = api_copy_in(&l.args, args, sizeof l.args, "tkl_launch_args");
	if (status)
		return status;
	l.arena = arena_create_in(memory, sizeof memory);
	if (!l.arena)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	status = api_guard(run_launch, &l);
	arena_destroy(l.arena);
	return status;
}
