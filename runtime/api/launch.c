/* launch: the arguments of a launch, checked, handed to the kernel's backend.
 * relies on: nothing is allocated but for interfaces too large for LAUNCH_MEMORY. */
#include "runtime/api/api.h"
#include <stdlib.h>
#include <string.h>

enum { LAUNCH_MEMORY = 6 << 10 };

/* Takes `size` bytes, aligned for any type; with `at` NULL only counts. */
static void *take(unsigned char **at, size_t *used, size_t size)
{
	unsigned char *p = *at ? *at + *used : NULL;

	*used += (size + 15) / 16 * 16;
	return p;
}

/* Lays the operands' arrays and the scratch memory out; the bytes that they take. */
static size_t lay_out(const rt_interface *f, unsigned char *memory, api_operands *o, void **scratch)
{
	size_t tensors = (size_t)f->tensors, rank = RT_INTERFACE_RANK, used = 0;
	int64_t *stride;

	o->data = take(&memory, &used, tensors * sizeof *o->data);
	o->dtype = take(&memory, &used, tensors * sizeof *o->dtype);
	o->stride = take(&memory, &used, tensors * sizeof *o->stride);
	stride = take(&memory, &used, tensors * rank * sizeof *stride);
	o->length = take(&memory, &used, (size_t)f->lengths * sizeof *o->length);
	o->param_int = take(&memory, &used, (size_t)f->params * sizeof *o->param_int);
	o->param_float = take(&memory, &used, (size_t)f->params * sizeof *o->param_float);
	*scratch = take(&memory, &used, api_scratch_bytes(f));
	for (size_t t = 0; memory && t < tensors; t++)
		o->stride[t] = stride + t * rank;
	return used;
}

static tkl_status set_params(const tkl_kernel *k, const tkl_launch_args *args, api_operands *o)
{
	const rt_interface *f = &k->interface;

	for (int p = 0; p < f->params; p++) {
		const tkl_param_info *x = &f->param[p];

		o->param_int[p] = x->type == TKL_PARAM_INT ? x->default_value.i : 0;
		o->param_float[p] = x->type == TKL_PARAM_INT ? 0 : x->default_value.f;
	}
	for (size_t n = 0; n < args->param_count; n++) {
		const tkl_param *given = &args->params[n];

		if (given->index < 0 || given->index >= f->params)
			return api_fail(TKL_ERROR_ARGUMENT, "'%s' has %d params, no number %d",
				f->name, f->params, given->index);
		if (f->param[given->index].type == TKL_PARAM_INT)
			o->param_int[given->index] = given->value.i;
		else
			o->param_float[given->index] = given->value.f;
	}
	return TKL_OK;
}

static tkl_status check_counts(const tkl_kernel *k, const tkl_launch_args *a)
{
	int tensors = k->interface.tensors;

	if (a->tensor_count != (size_t)tensors)
		return api_fail(TKL_ERROR_ARGUMENT, "'%s' has %d tensors, but %zu are passed",
			k->interface.name, tensors, a->tensor_count);
	if (tensors && !a->tensors)
		return api_fail(TKL_ERROR_ARGUMENT, "tensors is NULL");
	if (a->param_count && !a->params)
		return api_fail(TKL_ERROR_ARGUMENT, "params is NULL");
	if (a->length_count && !a->lengths)
		return api_fail(TKL_ERROR_ARGUMENT, "lengths is NULL");
	if (a->stream && !k->backend->gpu)
		return api_fail(TKL_ERROR_ARGUMENT, "stream must be NULL on the CPU");
	return TKL_OK;
}

/* A launch, or (bytes not NULL) the question what it would take. */
static tkl_status pass_on(
	const tkl_kernel *k, const api_operands *o, const tkl_launch_args *a, uint64_t *bytes)
{
	if (!bytes)
		return k->backend->launch(k, o, a);
	*bytes = 0;
	return k->backend->workspace ? k->backend->workspace(k, o, bytes) : TKL_OK;
}

static tkl_status check_and_pass_on(
	const tkl_kernel *kernel, const tkl_launch_args *args, uint64_t *bytes)
{
	_Alignas(max_align_t) unsigned char own[LAUNCH_MEMORY], *memory = own;
	api_operands o = {0};
	tkl_launch_args a;
	tkl_status status;
	void *scratch;
	size_t size;

	status = api_copy_in(&a, args, sizeof a, "tkl_launch_args");
	if (!status)
		status = check_counts(kernel, &a);
	if (status)
		return status;
	size = lay_out(&kernel->interface, NULL, &o, &scratch);
	if (size > sizeof own)
		memory = malloc(size);
	if (!memory)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	memset(memory, 0, size);
	lay_out(&kernel->interface, memory, &o, &scratch);
	status = set_params(kernel, &a, &o);
	if (!status)
		status = api_check_operands(kernel, &a, scratch, &o);
	if (!status)
		status = pass_on(kernel, &o, &a, bytes);
	if (memory != own)
		free(memory);
	return status;
}

tkl_status tkl_launch(const tkl_kernel *kernel, const tkl_launch_args *args)
{
	if (!kernel || !args)
		return api_fail(TKL_ERROR_ARGUMENT, "the kernel or its arguments are NULL");
	return check_and_pass_on(kernel, args, NULL);
}

tkl_status tkl_launch_workspace(
	const tkl_kernel *kernel, const tkl_launch_args *args, uint64_t *bytes)
{
	if (!kernel || !args || !bytes)
		return api_fail(
			TKL_ERROR_ARGUMENT, "the kernel, its arguments or the result are NULL");
	return check_and_pass_on(kernel, args, bytes);
}

tkl_status tkl_prepare(const tkl_kernel *kernel, int device)
{
	if (!kernel)
		return api_fail(TKL_ERROR_ARGUMENT, "the kernel is NULL");
	return kernel->backend->prepare ? kernel->backend->prepare(kernel, device) : TKL_OK;
}

void tkl_kernel_destroy(tkl_kernel *kernel)
{
	tkl_context *context;

	if (!kernel)
		return;
	context = kernel->context;
	kernel->backend->destroy(kernel);
	tkl_context_destroy(context);
}
