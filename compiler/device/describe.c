/* describe: a checked spec as a caller sees it.
 * in:  tensors, lengths and params of sema      out: the same as include/trikl.h has them */
#include "device/device.h"

DLDataType device_dtype(sema_dtype t)
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

static const tkl_dimension *describe_dimensions(arena *a, const sema_tensor *t)
{
	tkl_dimension *dim = ARENA_ARRAY(a, tkl_dimension, t->rank);

	for (int d = 0; d < t->rank; d++) {
		const sema_dim *from = &t->dim[d];

		dim[d].name = from->name;
		dim[d].length = from->length ? from->length->id : -1;
		dim[d].extent = from->length ? -1 : from->extent;
	}
	return dim;
}

static const tkl_tensor_info *describe_tensors(arena *a, const sema_spec *s)
{
	tkl_tensor_info *info = ARENA_ARRAY(a, tkl_tensor_info, s->tensor.count);

	for (int n = 0; n < s->tensor.count; n++) {
		const sema_tensor *t = s->tensor.item[n];

		info[n] = (tkl_tensor_info){.struct_size = sizeof *info,
			.name = t->name,
			.dtype = device_dtype(t->dtype),
			.ndim = t->rank,
			.dimensions = describe_dimensions(a, t),
			.is_output = t->output};
	}
	return info;
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

static const tkl_length_info *describe_lengths(arena *a, const sema_spec *s)
{
	tkl_length_info *info = ARENA_ARRAY(a, tkl_length_info, s->length.count);

	for (int n = 0; n < s->length.count; n++)
		info[n] = (tkl_length_info){.struct_size = sizeof *info,
			.name = s->length.item[n]->name,
			.divides = -1,
			.is_implied = is_implied(s, n)};
	for (int n = 0; n < s->axis.count; n++) {
		const sema_axis *axis = s->axis.item[n];

		if (axis->kind == AXIS_GROUP)
			info[axis->length->id].divides = axis->of->length->id;
	}
	return info;
}

static const tkl_param_info *describe_params(arena *a, const sema_spec *s)
{
	tkl_param_info *info = ARENA_ARRAY(a, tkl_param_info, s->param.count);

	for (int n = 0; n < s->param.count; n++) {
		const sema_param *p = s->param.item[n];

		info[n] = (tkl_param_info){.struct_size = sizeof *info, .name = p->name};
		info[n].type = p->type == TYPE_INT ? TKL_PARAM_INT : TKL_PARAM_FLOAT;
		if (p->type == TYPE_INT)
			info[n].default_value.i = p->i;
		else
			info[n].default_value.f = p->f;
	}
	return info;
}

rt_interface device_interface(arena *a, const sema_spec *s)
{
	return (rt_interface){.name = s->name,
		.tensors = s->tensor.count,
		.inputs = s->inputs,
		.lengths = s->length.count,
		.params = s->param.count,
		.tensor = describe_tensors(a, s),
		.length = describe_lengths(a, s),
		.param = describe_params(a, s)};
}
