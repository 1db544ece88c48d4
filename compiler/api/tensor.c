/* tensor: DLTensors against the signature.
 * in:  the tensors and lengths of one launch     out: data pointers, strides and lengths that are
 * safe to use
 *
 * Each tensor is checked alone first (rank, type, device, sizes, layout), then against the others
 * (lengths, groups, overlap). A message names the tensor and, for a conflict, both. */
#include "api/api.h"
#include <string.h>

/* Bytes from the lowest to the highest element of a tensor; more cannot be addressed. */
#define SPAN_LIMIT (INT64_C(1) << 60)

typedef struct {
	const tkl_kernel *kernel;
	const sema_spec *spec;
	const tkl_launch_args *args;
	arena *arena;
	api_operands *out;
	const char *
		*source; /* [lengths] who decided a length: a tensor's name, "the lengths", NULL */
	bool *empty;     /* [tensors] */
} check;

static const char *dtype_text(check *c, DLDataType t)
{
	static const char *const kind[] = {"int", "uint", "float", "handle", "bfloat", "complex"};

	if (t.code >= sizeof kind / sizeof *kind)
		return "an unknown type";
	if (t.lanes == 1)
		return arena_printf(c->arena, "%s%d", kind[t.code], t.bits);
	return arena_printf(c->arena, "%s%dx%d", kind[t.code], t.bits, t.lanes);
}

static bool same_dtype(DLDataType a, DLDataType b)
{
	return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

/* --- one tensor --- */

static tkl_status check_dtype(check *c, const sema_tensor *t, const DLTensor *x)
{
	static const sema_dtype wide[] = {DTYPE_F64, DTYPE_F32};

	c->out->dtype[t->id] = t->dtype;
	if (same_dtype(x->dtype, api_dtype(t->dtype)))
		return TKL_OK;
	for (int w = 0; w < 2 && !c->kernel->host && !c->kernel->gpu && t->dtype != DTYPE_I32; w++)
		if (same_dtype(x->dtype, api_dtype(wide[w]))) {
			c->out->dtype[t->id] = wide[w];
			return TKL_OK;
		}
	return api_fail(TKL_ERROR_DTYPE, "'%s' holds %s, but the spec says %s", t->name,
		dtype_text(c, x->dtype), sema_dtype_name(t->dtype));
}

/* The first tensor on a GPU decides the device, unless the kernel was compiled for one. */
static tkl_status check_gpu(check *c, const sema_tensor *t, const DLTensor *x)
{
	int type = (int)x->device.device_type, device = c->out->device;

	if (type == kDLCUDAHost || type == kDLCUDAManaged)
		return TKL_OK;
	if (type != kDLCUDA)
		return api_fail(TKL_ERROR_DEVICE,
			"'%s' lies on device type %d, but the kernel runs on a GPU", t->name, type);
	if (device == RT_CURRENT)
		c->out->device = device = x->device.device_id;
	if (x->device.device_id == device)
		return TKL_OK;
	return api_fail(TKL_ERROR_DEVICE, "'%s' lies on GPU %d, but the kernel runs on GPU %d",
		t->name, x->device.device_id, device);
}

static tkl_status check_device(check *c, const sema_tensor *t, const DLTensor *x)
{
	if (c->kernel->gpu)
		return check_gpu(c, t, x);
	switch ((int)x->device.device_type) {
	case kDLCPU:
	case kDLCUDAHost:
	case kDLROCMHost:
		return TKL_OK;
	default:
		return api_fail(TKL_ERROR_DEVICE,
			"'%s' lies on device type %d, but the kernel runs on the CPU", t->name,
			(int)x->device.device_type);
	}
}

/* The first tensor that has a length decides it. */
static tkl_status check_length(check *c, const sema_tensor *t, int d, int64_t size)
{
	const sema_length *l = t->dim[d].length;

	if (!c->source[l->id]) {
		c->source[l->id] = t->name;
		c->out->length[l->id] = size;
	}
	if (c->out->length[l->id] == size)
		return TKL_OK;
	return api_fail(TKL_ERROR_SHAPE, "dimension %d of '%s' is %lld, but '%s' has %s = %lld", d,
		t->name, (long long)size, c->source[l->id], l->name,
		(long long)c->out->length[l->id]);
}

static tkl_status check_shape(check *c, const sema_tensor *t, const DLTensor *x)
{
	if (x->ndim != t->rank)
		return api_fail(TKL_ERROR_SHAPE, "'%s' has %d dimensions, but the spec says %d",
			t->name, x->ndim, t->rank);
	if (t->rank && !x->shape)
		return api_fail(TKL_ERROR_ARGUMENT, "the shape of '%s' is NULL", t->name);
	for (int d = 0; d < t->rank; d++) {
		const sema_dim *dim = &t->dim[d];
		tkl_status status;

		if (x->shape[d] < 0)
			return api_fail(TKL_ERROR_SHAPE, "dimension %d of '%s' is %lld", d, t->name,
				(long long)x->shape[d]);
		if (!dim->length && x->shape[d] != dim->extent)
			return api_fail(TKL_ERROR_SHAPE,
				"dimension %d of '%s' is %lld, but the spec says %s = %lld", d,
				t->name, (long long)x->shape[d], dim->name, (long long)dim->extent);
		status = dim->length ? check_length(c, t, d, x->shape[d]) : TKL_OK;
		if (status)
			return status;
		c->empty[t->id] |= x->shape[d] == 0;
	}
	return TKL_OK;
}

/* Strides, compact ones where the caller gave none; false when the tensor cannot be addressed. */
static bool lay_out(const DLTensor *x, int item, int64_t *stride)
{
	int64_t compact = 1, span = 0, bytes;

	for (int d = x->ndim - 1; d >= 0; d--) {
		int64_t size = x->shape[d], reach;

		stride[d] = x->strides ? x->strides[d] : compact;
		if (__builtin_mul_overflow(compact, size ? size : 1, &compact))
			return false;
		if (size < 2)
			continue;
		if (stride[d] == INT64_MIN ||
			__builtin_mul_overflow(
				size - 1, stride[d] < 0 ? -stride[d] : stride[d], &reach) ||
			__builtin_add_overflow(span, reach, &span))
			return false;
	}
	return !__builtin_mul_overflow(span, item, &bytes) && bytes <= SPAN_LIMIT;
}

static tkl_status check_layout(check *c, const sema_tensor *t, const DLTensor *x)
{
	int item = sema_dtype_size(c->out->dtype[t->id]);
	int64_t *stride = ARENA_ARRAY(c->arena, int64_t, SEMA_MAX_RANK);

	c->out->stride[t->id] = stride;
	if (c->empty[t->id])
		return TKL_OK;
	if (!x->data)
		return api_fail(TKL_ERROR_LAYOUT, "the data of '%s' is NULL", t->name);
	if (!lay_out(x, item, stride))
		return api_fail(TKL_ERROR_LAYOUT, "'%s' is too large to address", t->name);
	if (c->kernel->gpu && x->ndim > 0 && x->shape[x->ndim - 1] > 1 && stride[x->ndim - 1] != 1)
		return api_fail(TKL_ERROR_LAYOUT,
			"the last dimension of '%s' has stride %lld, but a GPU kernel needs 1",
			t->name, (long long)stride[x->ndim - 1]);
	c->out->data[t->id] = (char *)x->data + x->byte_offset;
	if ((uintptr_t)c->out->data[t->id] % (uintptr_t)item)
		return api_fail(TKL_ERROR_LAYOUT,
			"the data of '%s' is not aligned to its %d-byte elements", t->name, item);
	return TKL_OK;
}

static tkl_status check_tensor(check *c, int t)
{
	const sema_tensor *tensor = c->spec->tensor.item[t];
	const DLTensor *x = c->args->tensors[t];
	tkl_status status;

	if (!x && tensor->output && c->kernel->gpu)
		return api_fail(TKL_ERROR_ARGUMENT,
			"output '%s' is NULL, but a GPU kernel computes every output",
			tensor->name);
	if (!x && tensor->output)
		return TKL_OK;
	if (!x)
		return api_fail(TKL_ERROR_ARGUMENT, "input '%s' is NULL", tensor->name);
	status = check_dtype(c, tensor, x);
	if (!status)
		status = check_device(c, tensor, x);
	if (!status)
		status = check_shape(c, tensor, x);
	if (!status)
		status = check_layout(c, tensor, x);
	return status;
}

/* --- all of them --- */

static int find_length(const sema_spec *s, const char *name)
{
	for (int l = 0; name && l < s->length.count; l++)
		if (!strcmp(s->length.item[l]->name, name))
			return l;
	return -1;
}

static tkl_status check_given_lengths(check *c)
{
	for (size_t n = 0; n < c->args->length_count; n++) {
		const tkl_length *given = &c->args->lengths[n];
		int l = find_length(c->spec, given->name);

		if (l < 0)
			return api_fail(TKL_ERROR_ARGUMENT, "'%s' has no length named '%s'",
				c->spec->name, given->name ? given->name : "(null)");
		if (given->value < 0)
			return api_fail(TKL_ERROR_SHAPE, "length %s = %lld is negative",
				given->name, (long long)given->value);
		if (!c->source[l]) {
			c->source[l] = "the lengths";
			c->out->length[l] = given->value;
		}
		if (c->out->length[l] != given->value)
			return api_fail(TKL_ERROR_SHAPE,
				"length %s is given as %lld, but '%s' has %s = %lld", given->name,
				(long long)given->value, c->source[l], given->name,
				(long long)c->out->length[l]);
	}
	return TKL_OK;
}

static tkl_status check_missing_lengths(check *c)
{
	for (int l = 0; l < c->spec->length.count; l++)
		if (!c->source[l])
			return api_fail(TKL_ERROR_SHAPE,
				"no tensor that was passed has the length %s: give it in lengths",
				c->spec->length.item[l]->name);
	return TKL_OK;
}

static tkl_status check_groups(check *c)
{
	for (int a = 0; a < c->spec->axis.count; a++) {
		const sema_axis *group = c->spec->axis.item[a];
		int64_t all, n;

		if (group->kind != AXIS_GROUP)
			continue;
		all = c->out->length[group->of->length->id];
		n = c->out->length[group->length->id];
		if (n ? all % n : all != 0)
			return api_fail(TKL_ERROR_SHAPE,
				"%s = %lld of '%s' is not a multiple of %s = %lld of '%s'",
				group->of->length->name, (long long)all,
				c->source[group->of->length->id], group->length->name, (long long)n,
				c->source[group->length->id]);
	}
	return TKL_OK;
}

static api_view view_of(const check *c, int t)
{
	api_view v = {.base = (uintptr_t)c->out->data[t],
		.item = sema_dtype_size(c->out->dtype[t]),
		.rank = c->spec->tensor.item[t]->rank};

	for (int d = 0; d < v.rank; d++) {
		v.size[d] = c->args->tensors[t]->shape[d];
		v.stride[d] = c->out->stride[t][d] * v.item;
	}
	return v;
}

/* Outputs share no element with themselves, each other or any input. */
static tkl_status check_overlap(const check *c)
{
	const sema_spec *s = c->spec;

	for (int t = s->inputs; t < s->tensor.count; t++) {
		api_view v;

		if (!c->out->data[t])
			continue;
		v = view_of(c, t);
		if (api_view_overlaps_itself(&v))
			return api_fail(TKL_ERROR_LAYOUT,
				"the strides of output '%s' make its elements overlap",
				s->tensor.item[t]->name);
		for (int u = 0; u < t; u++) {
			api_view other;

			if (!c->out->data[u])
				continue;
			other = view_of(c, u);
			if (api_views_overlap(&v, &other))
				return api_fail(TKL_ERROR_LAYOUT, "output '%s' overlaps %s '%s'",
					s->tensor.item[t]->name, u < s->inputs ? "input" : "output",
					s->tensor.item[u]->name);
		}
	}
	return TKL_OK;
}

tkl_status api_check_operands(
	const tkl_kernel *k, const tkl_launch_args *args, arena *a, api_operands *out)
{
	const sema_spec *s = k->spec;
	check c = {.kernel = k, .spec = s, .args = args, .arena = a, .out = out};
	tkl_status status = TKL_OK;

	out->device = k->device;
	out->data = ARENA_ARRAY(a, void *, s->tensor.count);
	out->dtype = ARENA_ARRAY(a, sema_dtype, s->tensor.count);
	out->stride = ARENA_ARRAY(a, const int64_t *, s->tensor.count);
	out->length = ARENA_ARRAY(a, int64_t, s->length.count);
	c.source = ARENA_ARRAY(a, const char *, s->length.count);
	c.empty = ARENA_ARRAY(a, bool, s->tensor.count);
	for (int t = 0; t < s->tensor.count && !status; t++)
		status = check_tensor(&c, t);
	if (!status)
		status = check_given_lengths(&c);
	if (!status)
		status = check_missing_lengths(&c);
	if (!status)
		status = check_groups(&c);
	if (!status)
		status = check_overlap(&c);
	return status;
}
