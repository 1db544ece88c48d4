/* signature: what a caller can ask about a kernel. */
#include "runtime/api/api.h"
#include <string.h>

const char *tkl_kernel_name(const tkl_kernel *kernel)
{
	return kernel ? kernel->interface.name : NULL;
}

const char *tkl_kernel_target(const tkl_kernel *kernel)
{
	return kernel ? kernel->target : NULL;
}

int tkl_kernel_tensor_count(const tkl_kernel *kernel)
{
	return kernel ? kernel->interface.tensors : 0;
}

int tkl_kernel_length_count(const tkl_kernel *kernel)
{
	return kernel ? kernel->interface.lengths : 0;
}

int tkl_kernel_param_count(const tkl_kernel *kernel)
{
	return kernel ? kernel->interface.params : 0;
}

int tkl_kernel_find_tensor(const tkl_kernel *kernel, const char *name)
{
	for (int t = 0; kernel && name && t < kernel->interface.tensors; t++)
		if (!strcmp(kernel->interface.tensor[t].name, name))
			return t;
	return -1;
}

int tkl_kernel_find_length(const tkl_kernel *kernel, const char *name)
{
	for (int l = 0; kernel && name && l < kernel->interface.lengths; l++)
		if (!strcmp(kernel->interface.length[l].name, name))
			return l;
	return -1;
}

int tkl_kernel_find_param(const tkl_kernel *kernel, const char *name)
{
	for (int p = 0; kernel && name && p < kernel->interface.params; p++)
		if (!strcmp(kernel->interface.param[p].name, name))
			return p;
	return -1;
}

static tkl_status check_index(const tkl_kernel *k, int index, int count, const char *what)
{
	if (!k)
		return api_fail(TKL_ERROR_ARGUMENT, "the kernel is NULL");
	if (index < 0 || index >= count)
		return api_fail(TKL_ERROR_ARGUMENT, "'%s' has %d %ss, no number %d",
			k->interface.name, count, what, index);
	return TKL_OK;
}

tkl_status tkl_kernel_tensor(const tkl_kernel *kernel, int index, tkl_tensor_info *info)
{
	tkl_status status = check_index(kernel, index, tkl_kernel_tensor_count(kernel), "tensor");

	return status ? status
		      : api_copy_out(info, &kernel->interface.tensor[index], sizeof *info,
				"tkl_tensor_info");
}

tkl_status tkl_kernel_length(const tkl_kernel *kernel, int index, tkl_length_info *info)
{
	tkl_status status = check_index(kernel, index, tkl_kernel_length_count(kernel), "length");

	return status ? status
		      : api_copy_out(info, &kernel->interface.length[index], sizeof *info,
				"tkl_length_info");
}

tkl_status tkl_kernel_param(const tkl_kernel *kernel, int index, tkl_param_info *info)
{
	tkl_status status = check_index(kernel, index, tkl_kernel_param_count(kernel), "param");

	return status ? status
		      : api_copy_out(info, &kernel->interface.param[index], sizeof *info,
				"tkl_param_info");
}
