/* signature: what a caller can ask about a kernel. Everything is laid out once, when the kernel is
 * made. */
#include "api/api.h"
#include <string.h>

DLDataType api_dtype(sema_dtype t)
{
	switch (t) {
	case DTYPE_BF16:
		return (DLDataType){kDLBfloat, 16, 1};
	case DTYPE_F16:
		return (DLDataType){kDLFloat, 16, 1};
	case DTYPE_F32:
		return (DLDataType){kDLFloat, 32, 1};
	case DTYPE_I32:
		return (DLDataType){kDLInt, 32, 1};
	case DTYPE_F64:
		return (DLDataType){kDLFloat, 64, 1};
	}
	return (DLDataType){kDLOpaqueHandle, 0, 0};
}

void api_describe(tkl_kernel *k)
{
	const sema_spec *s = k->spec;

	k->dimension = ARENA_ARRAY(k->arena, const tkl_dimension *, s->tensor.count);
	for (int t = 0; t < s->tensor.count; t++) {
		const sema_tensor *tensor = s->tensor.item[t];
		tkl_dimension *dim = ARENA_ARRAY(k->arena, tkl_dimension, tensor->rank);

		for (int d = 0; d < tensor->rank; d++) {
			const sema_dim *from = &tensor->dim[d];

			dim[d].name = from->name;
			dim[d].length = from->length ? from->length->id : -1;
			dim[d].extent = from->length ? -1 : from->extent;
		}
		k->dimension[t] = dim;
	}
}

const char *tkl_kernel_name(const tkl_kernel *kernel)
{
	return kernel ? kernel->spec->name : NULL;
}

const char *tkl_kernel_target(const tkl_kernel *kernel)
{
	return kernel ? kernel->target : NULL;
}

int tkl_kernel_tensor_count(const tkl_kernel *kernel)
{
	return kernel ? kernel->spec->tensor.count : 0;
}

int tkl_kernel_length_count(const tkl_kernel *kernel)
{
	return kernel ? kernel->spec->length.count : 0;
}

int tkl_kernel_param_count(const tkl_kernel *kernel)
{
	return kernel ? kernel->spec->param.count : 0;
}

int tkl_kernel_find_tensor(const tkl_kernel *kernel, const char *name)
{
	for (int t = 0; kernel && name && t < kernel->spec->tensor.count; t++)
		if (!strcmp(kernel->spec->tensor.item[t]->name, name))
			return t;
	return -1;
}

int tkl_kernel_find_length(const tkl_kernel *kernel, const char *name)
{
	for (int l = 0; kernel && name && l < kernel->spec->length.count; l++)
		if (!strcmp(kernel->spec->length.item[l]->name, name))
			return l;
	return -1;
}

int tkl_kernel_find_param(const tkl_kernel *kernel, const char *name)
{
	for (int p = 0; kernel && name && p < kernel->spec->param.count; p++)
		if (!strcmp(kernel->spec->param.item[p]->name, name))
			return p;
	return -1;
}

static tkl_status check_index(const tkl_kernel *k, int index, int count, const char *what)
{
	if (!k)
		return api_fail(TKL_ERROR_ARGUMENT, "the kernel is NULL");
	if (index < 0 || index >= count)
		return api_fail(TKL_ERROR_ARGUMENT, "'%s' has %d %ss, no number %d", k->spec->name,
			count, what, index);
	return TKL_OK;
}

tkl_status tkl_kernel_tensor(const tkl_kernel *kernel, int index, tkl_tensor_info *info)
{
	tkl_status status = check_index(kernel, index, tkl_kernel_tensor_count(kernel), "tensor");
	const sema_tensor *t;
	tkl_tensor_info i;

	if (status)
		return status;
	t = kernel->spec->tensor.item[index];
	i = (tkl_tensor_info){
		.name = t->name,
		.dtype = api_dtype(t->dtype),
		.ndim = t->rank,
		.dimensions = kernel->dimension[index],
		.is_output = t->output,
	};
	return api_copy_out(info, &i, sizeof i, "tkl_tensor_info");
}

static bool is_implied(const sema_spec *s, int length)
{
	for (int t = 0; t < s->inputs; t++)
		for (int d = 0; d < s->tensor.item[t]->rank; d++) {
			const sema_length *l = s->tensor.item[t]->dim[d].length;

			if (l && l->id == length)
				return true;
		}
	return false;
}

tkl_status tkl_kernel_length(const tkl_kernel *kernel, int index, tkl_length_info *info)
{
	tkl_status status = check_index(kernel, index, tkl_kernel_length_count(kernel), "length");
	const sema_spec *s;
	tkl_length_info i;

	if (status)
		return status;
	s = kernel->spec;
	i = (tkl_length_info){
		.name = s->length.item[index]->name,
		.divides = -1,
		.is_implied = is_implied(s, index),
	};
	for (int a = 0; a < s->axis.count; a++) {
		const sema_axis *axis = s->axis.item[a];

		if (axis->kind == AXIS_GROUP && axis->length->id == index)
			i.divides = axis->of->length->id;
	}
	return api_copy_out(info, &i, sizeof i, "tkl_length_info");
}

tkl_status tkl_kernel_param(const tkl_kernel *kernel, int index, tkl_param_info *info)
{
	tkl_status status = check_index(kernel, index, tkl_kernel_param_count(kernel), "param");
	const sema_param *p;
	tkl_param_info i;

	if (status)
		return status;
	p = kernel->spec->param.item[index];
	i = (tkl_param_info){.name = p->name};
	if (p->type == TYPE_INT) {
		i.type = TKL_PARAM_INT;
		i.default_value.i = p->i;
	} else {
		i.type = TKL_PARAM_FLOAT;
		i.default_value.f = p->f;
	}
	return api_copy_out(info, &i, sizeof i, "tkl_param_info");
}
