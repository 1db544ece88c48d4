/* gpu: kernels for GPU targets.
 * in:  a target's name, checked operands     out: a device and architecture; a launch on a stream
 * relies on: device_launch, which neither allocates nor waits once a kernel is loaded. */
#include "api/api.h"
#include <stdlib.h>
#include <string.h>

static const char cuda[] = "cuda:";

bool api_is_gpu_target(const char *target)
{
	const char *number = target + sizeof cuda - 1;

	if (strncmp(target, cuda, sizeof cuda - 1) == 0)
		return *number && strspn(number, "0123456789") == strlen(number) &&
		       strlen(number) < 4;
	return strncmp(target, "sm_", 3) == 0 && arch_find(target);
}

tkl_status api_gpu_target(tkl_context *c, const char *target, int *device, const arch **a)
{
	rt_error err = {0};

	*device = RT_CURRENT;
	*a = arch_find(target);
	if (*a)
		return TKL_OK;
	*device = atoi(target + sizeof cuda - 1);
	if (!device_arch(c->system, *device, a, &err))
		return TKL_OK;
	if (err.status == RT_ARGUMENT)
		err.status = RT_NO_DEVICE;
	return api_fail_runtime(&err, target);
}

const void *tkl_kernel_code(const tkl_kernel *kernel, size_t *size)
{
	bool is_cubin;

	if (size)
		*size = 0;
	if (!kernel || !kernel->gpu || !size)
		return NULL;
	return device_code(kernel->gpu, size, &is_cubin);
}

typedef struct {
	const tkl_kernel *kernel;
	int device;
} preparation;

static tkl_status prepare(void *user)
{
	const preparation *p = user;
	rt_error err = {0};

	if (!device_prepare(p->kernel->gpu, p->device, &err))
		return TKL_OK;
	if (err.status == RT_ARGUMENT)
		err.status = RT_NO_DEVICE;
	return api_fail_runtime(&err, p->kernel->spec->name);
}

tkl_status tkl_prepare(const tkl_kernel *kernel, int device)
{
	preparation p = {kernel, device};

	if (!kernel)
		return api_fail(TKL_ERROR_ARGUMENT, "the kernel is NULL");
	if (!kernel->gpu)
		return TKL_OK;
	if (kernel->device != RT_CURRENT && kernel->device != device)
		return api_fail(TKL_ERROR_ARGUMENT,
			"'%s' was compiled for GPU %d, it cannot be prepared for GPU %d",
			kernel->spec->name, kernel->device, device);
	return api_guard(prepare, &p);
}

tkl_status api_gpu_launch(
	const tkl_kernel *k, const api_operands *o, const int64_t *i, const double *f, void *stream)
{
	uint64_t data[RT_KERNEL_TENSORS];
	rt_kernel_args args = {.data = data,
		.stride = o->stride,
		.length = o->length,
		.param_int = i,
		.param_float = f};
	rt_error err = {0};

	for (int t = 0; t < k->spec->tensor.count; t++)
		data[t] = (uint64_t)(uintptr_t)o->data[t];
	if (!device_launch(k->gpu, &args, o->device, stream, &err))
		return TKL_OK;
	return api_fail_runtime(&err, k->spec->name);
}
