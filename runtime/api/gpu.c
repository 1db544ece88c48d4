/* gpu: kernels that are GPU programs.
 * in:  checked operands      out: a launch on the caller's stream
 * relies on: rt_program_launch, which neither allocates nor waits once a kernel is loaded. */
#include "runtime/api/api.h"

tkl_status api_gpu_prepare(const tkl_kernel *kernel, int device)
{
	rt_error err = {0};

	if (kernel->device != RT_CURRENT && kernel->device != device)
		return api_fail(TKL_ERROR_ARGUMENT,
			"'%s' was compiled for GPU %d, it cannot be prepared for GPU %d",
			kernel->interface.name, kernel->device, device);
	if (!rt_program_prepare(kernel->program, device, &err))
		return TKL_OK;
	if (err.status == RT_ARGUMENT)
		err.status = RT_NO_DEVICE;
	return api_fail_runtime(&err, kernel->interface.name);
}

tkl_status api_gpu_launch(
	const tkl_kernel *kernel, const api_operands *o, const tkl_launch_args *args)
{
	uint64_t data[RT_KERNEL_TENSORS];
	rt_kernel_args a = {.data = data,
		.stride = o->stride,
		.length = o->length,
		.param_int = o->param_int,
		.param_float = o->param_float};
	rt_error err = {0};

	for (int t = 0; t < kernel->interface.tensors; t++)
		data[t] = (uint64_t)(uintptr_t)o->data[t];
	if (!rt_program_launch(kernel->program, &a, o->device, args->stream, &err))
		return TKL_OK;
	return api_fail_runtime(&err, kernel->interface.name);
}

const void *tkl_kernel_code(const tkl_kernel *kernel, size_t *size)
{
	if (size)
		*size = 0;
	if (!kernel || !kernel->program || !size)
		return NULL;
	return rt_program_code(kernel->program, size);
}
