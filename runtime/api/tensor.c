/* tensor: DLTensors against the signature.
 * in:  the tensors and lengths of one launch     out: data pointers, strides and lengths that are
 * safe to use
 *
 * Each tensor is checked alone first (rank, type, device, sizes, layout), then against the others
 * (lengths, groups, overlap). A message names the tensor and, for a conflict, both. */
#include "runtime/api/api.h"
#include <stdio.h>
#include <string.h>

/* Bytes from the lowest to the highest element of a tensor; more cannot be addressed. */
#define SPAN_LIMIT (INT64_C(1) << 60)

typedef struct {
	const tkl_kernel *kernel;
	const rt_interface *face;
	const tkl_launch_args *args;
	api_operands *out;
	const char *
		*source; /* [lengths] who decided a length: a tensor's name, "the lengths", NULL */
	bool *empty;     /* [tensors] */
} check;

size_t api_scratch_bytes(const rt_interface *i)
{
	return (size_t)i->lengths * sizeof(char *) + (size_t)i->tensors * sizeof(bool);
}

/* "bfloat16"; in `buffer`. */
static const char *dtype_text(DLDataType t, char buffer[32])
{
	static const char *const kind[] = {"int", "uint", "float", "handle", "bfloat", "complex"};

	if (t.code >= sizeof kind / sizeof *kind)
		return "an unknown type";
	if (t.lanes == 1)
		snprintf(buffer, 32, "%s%d", kind[t.code], t.bits);
	else
		snprintf(buffer, 32, "%s%dx%d", kind[t.code], t.bits, t.lanes);
	return buffer;
}

/* As specs write it: "bf16". */
static const char *spec_dtype(DLDataType t, char buffer[32])
{
	const char *kind = t.code == kDLBfloat ? "bf" : t.code == kDLFloat ? "f" : "i";

	snprintf(buffer, 32, "%s%d", kind, t.bits);
	return buffer;
}

static bool same_dtype(DLDataType a, DLDataType b)
{
	return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

/* --- one tensor --- */

static tkl_status check_dtype(check *c, int n, const DLTensor *x)
{
	static const DLDataType wide[] = {{kDLFloat, 64, 1}, {kDLFloat, 32, 1}};
	const tkl_tensor_info *t = &c->face->tensor[n];
	bool floating = t->dtype.code == kDLFloat || t->dtype.code == kDLBfloat;
	char theirs[32], ours[32];

	c->out->dtype[n] = x->dtype;
	if (same_dtype(x->dtype, t->dtype))
		return TKL_OK;
	for (int w = 0; w < 2 && c->kernel->backend->wide && floating; w++)
		if (same_dtype(x->dtype, wide[w]))
			return TKL_OK;
	return api_fail(TKL_ERROR_DTYPE, "'%s' holds %s, but the spec says %s", t->name,
		dtype_text(x->dtype, theirs), spec_dtype(t->dtype, ours));
}

/* The first tensor on a GPU decides the device, unless the kernel was compiled for one. */
static tkl_status check_gpu(check *c, const tkl_tensor_info *t, const DLTensor *x)
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

static tkl_status check_device(check *c, const tkl_tensor_info *t, const DLTensor *x)
{
	if (c->kernel->backend->gpu)
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
static tkl_status check_length(check *c, const tkl_tensor_info *t, int d, int64_t size)
{
	int l = t->dimensions[d].length;

	if (!c->source[l]) {
		c->source[l] = t->name;
		c->out->length[l] = size;
	}
	if (c->out->length[l] == size)
		return TKL_OK;
	return api_fail(TKL_ERROR_SHAPE, "dimension %d of '%s' is %lld, but '%s' has %s = %lld", d,
		t->name, (long long)size, c->source[l], c->face->length[l].name,
		(long long)c->out->length[l]);
}

static tkl_status check_shape(check *c, int n, const DLTensor *x)
{
	const tkl_tensor_info *t = &c->face->tensor[n];

	if (x->ndim != t->ndim)
		return api_fail(TKL_ERROR_SHAPE, "'%s' has %d dimensions, but the spec says %d",
			t->name, x->ndim, t->ndim);
	if (t->ndim && !x->shape)
		return api_fail(TKL_ERROR_ARGUMENT, "the shape of '%s' is NULL", t->name);
	for (int d = 0; d < t->ndim; d++) {
		const tkl_dimension *dim = &t->dimensions[d];
		tkl_status status = TKL_OK;

		if (x->shape[d] < 0)
			return api_fail(TKL_ERROR_SHAPE, "dimension %d of '%s' is %lld", d, t->name,
				(long long)x->shape[d]);
		if (dim->length < 0 && x->shape[d] != dim->extent)
			return api_fail(TKL_ERROR_SHAPE,
				"dimension %d of '%s' is %lld, but the spec says %s = %lld", d,
				t->name, (long long)x->shape[d], dim->name, (long long)dim->extent);
		if (dim->length >= 0)
			status = check_length(c, t, d, x->shape[d]);
		if (status)
			return status;
		c->empty[n] |= x->shape[d] == 0;
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

static int item_bytes(DLDataType t)
{
	return t.bits / 8;
}

static tkl_status check_layout(check *c, int n, const DLTensor *x)
{
	const char *name = c->face->tensor[n].name;
	int item = item_bytes(c->out->dtype[n]);
	int64_t *stride = (int64_t *)c->out->stride[n];

	if (c->empty[n])
		return TKL_OK;
	if (!x->data)
		return api_fail(TKL_ERROR_LAYOUT, "the data of '%s' is NULL", name);
	if (!lay_out(x, item, stride))
		return api_fail(TKL_ERROR_LAYOUT, "'%s' is too large to address", name);
	if (c->kernel->backend->gpu && x->ndim > 0 && x->shape[x->ndim - 1] > 1 &&
		stride[x->ndim - 1] != 1)
		return api_fail(TKL_ERROR_LAYOUT,
			"the last dimension of '%s' has stride %lld, but a GPU kernel needs 1",
			name, (long long)stride[x->ndim - 1]);
	c->out->data[n] = (char *)x->data + x->byte_offset;
	if ((uintptr_t)c->out->data[n] % (uintptr_t)item)
		return api_fail(TKL_ERROR_LAYOUT,
			"the data of '%s' is not aligned to its %d-byte elements", name, item);
	return TKL_OK;
}

static tkl_status check_tensor(check *c, int n)
{
	const tkl_tensor_info *t = &c->face->tensor[n];
	const DLTensor *x = c->args->tensors[n];
	tkl_status status;

	if (!x && t->is_output)
		return TKL_OK;
	if (!x)
		return api_fail(TKL_ERROR_ARGUMENT, "input '%s' is NULL", t->name);
	status = check_dtype(c, n, x);
	if (!status)
		status = check_device(c, t, x);
	if (!status)
		status = check_shape(c, n, x);
	if (!status)
		status = check_layout(c, n, x);
	return status;
}

/* --- all of them --- */

static int find_length(const rt_interface *i, const char *name)
{
	for (int l = 0; name && l < i->lengths; l++)
		if (!strcmp(i->length[l].name, name))
			return l;
	return -1;
}

static tkl_status check_given_lengths(check *c)
{
	for (size_t n = 0; n < c->args->length_count; n++) {
		const tkl_length *given = &c->args->lengths[n];
		int l = find_length(c->face, given->name);

		if (l < 0)
			return api_fail(TKL_ERROR_ARGUMENT, "'%s' has no length named '%s'",
				c->face->name, given->name ? given->name : "(null)");
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
	for (int l = 0; l < c->face->lengths; l++)
		if (!c->source[l])
			return api_fail(TKL_ERROR_SHAPE,
				"no tensor that was passed has the length %s: give it in lengths",
				c->face->length[l].name);
	return TKL_OK;
}

/* A length that divides another one. */
static tkl_status check_groups(check *c)
{
	for (int l = 0; l < c->face->lengths; l++) {
		int of = c->face->length[l].divides;
		int64_t all, n;

		if (of < 0)
			continue;
		all = c->out->length[of];
		n = c->out->length[l];
		if (n ? all % n : all != 0)
			return api_fail(TKL_ERROR_SHAPE,
				"%s = %lld of '%s' is not a multiple of %s = %lld of '%s'",
				c->face->length[of].name, (long long)all, c->source[of],
				c->face->length[l].name, (long long)n, c->source[l]);
	}
	return TKL_OK;
}

static api_view view_of(const check *c, int t)
{
	api_view v = {.base = (uintptr_t)c->out->data[t],
		.item = item_bytes(c->out->dtype[t]),
		.rank = c->face->tensor[t].ndim};

	for (int d = 0; d < v.rank; d++) {
		v.size[d] = c->args->tensors[t]->shape[d];
		v.stride[d] = c->out->stride[t][d] * v.item;
	}
	return v;
}

/* Outputs share no element with themselves, each other or any input. */
static tkl_status check_overlap(const check *c)
{
	const rt_interface *f = c->face;

	for (int t = f->inputs; t < f->tensors; t++) {
		api_view v;

		if (!c->out->data[t])
			continue;
		v = view_of(c, t);
		if (api_view_overlaps_itself(&v))
			return api_fail(TKL_ERROR_LAYOUT,
				"the strides of output '%s' make its elements overlap",
				f->tensor[t].name);
		for (int u = 0; u < t; u++) {
			api_view other;

			if (!c->out->data[u])
				continue;
			other = view_of(c, u);
			if (api_views_overlap(&v, &other))
				return api_fail(TKL_ERROR_LAYOUT, "output '%s' overlaps %s '%s'",
					f->tensor[t].name, u < f->inputs ? "input" : "output",
					f->tensor[u].name);
		}
	}
	return TKL_OK;
}

tkl_status api_check_operands(
	const tkl_kernel *k, const tkl_launch_args *args, void *scratch, api_operands *out)
{
	const rt_interface *f = &k->interface;
	check c = {.kernel = k, .face = f, .args = args, .out = out};
	tkl_status status = TKL_OK;

	out->device = k->device;
	c.source = scratch;
	c.empty = (bool *)(c.source + f->lengths);
	memset(scratch, 0, api_scratch_bytes(f));
	for (int t = 0; t < f->tensors && !status; t++)
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
