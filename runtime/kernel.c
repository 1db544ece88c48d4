/* kernel: arguments of a generated kernel.
 * in:  a signature and the arguments of one launch
 * out: the parameter block and the grid; the launch */
#include "runtime/kernel.h"
#include <string.h>

enum { COPY_BYTES = 16, MAP_ALIGN = 64, PARAMETERS_MOST = RT_KERNEL_PARAMETERS / 4 };

/* --- the block of parameters --- */

static uint32_t align_map(uint32_t at)
{
	return (at + MAP_ALIGN - 1) / MAP_ALIGN * MAP_ALIGN;
}

/* Addresses and strides, of 8 bytes each. */
static uint32_t wide_parameters(const rt_kernel_signature *k)
{
	uint32_t n = (uint32_t)k->tensors;

	for (int t = 0; t < k->tensors; t++)
		if (k->tensor[t].rank)
			n += k->tensor[t].rank - 1u;
	return n;
}

/* Lengths, params, what is aligned and what is wanted, of 4 bytes each. */
static uint32_t narrow_parameters(const rt_kernel_signature *k)
{
	return (uint32_t)(k->lengths + k->params) + 2;
}

uint32_t rt_kernel_parameter_bytes(const rt_kernel_signature *k)
{
	uint32_t bytes = 8 * wide_parameters(k) + 4 * narrow_parameters(k);

	if (k->maps)
		bytes = align_map(bytes) + (uint32_t)k->maps * (uint32_t)sizeof(cu_tensor_map);
	return bytes;
}

/* Appends a value of `size` bytes; values come in descending size, so that each is aligned. */
static void put(rt_kernel_packed *p, const void *value, uint32_t size)
{
	memcpy(p->parameters + p->size, value, size);
	p->size += size;
}

static int64_t extent(const rt_kernel_signature *k, const rt_kernel_args *a, int t, int d)
{
	int l = k->tensor[t].length[d];

	return l < 0 ? k->tensor[t].extent[d] : a->length[l];
}

/* --- tensors --- */

/* An output without data is not computed. */
static bool is_left_out(const rt_kernel_signature *k, const rt_kernel_args *a, int t)
{
	return k->tensor[t].output && !a->data[t];
}

static rt_status check_tensor(
	const rt_kernel_signature *k, const rt_kernel_args *a, int t, rt_error *err)
{
	const rt_kernel_tensor *x = &k->tensor[t];
	bool empty = false;
	int last = x->rank - 1;

	for (int d = 0; d < x->rank; d++)
		empty |= extent(k, a, t, d) == 0;
	if (empty || is_left_out(k, a, t))
		return RT_OK;
	if (!a->data[t])
		return rt_error_set(
			err, RT_ARGUMENT, NULL, "'%s' is an input without data", x->name);
	if (a->data[t] % x->bytes)
		return rt_error_set(err, RT_LAYOUT, NULL,
			"the data of '%s' is not aligned to its %d-byte elements", x->name,
			x->bytes);
	if (last >= 0 && extent(k, a, t, last) > 1 && a->stride[t][last] != 1)
		return rt_error_set(err, RT_LAYOUT, NULL,
			"the last dimension of '%s' has stride %lld, but must be contiguous",
			x->name, (long long)a->stride[t][last]);
	return RT_OK;
}

/* Whether 16-byte copies of the tensor's rows are aligned. */
static bool is_aligned(const rt_kernel_signature *k, const rt_kernel_args *a, int t)
{
	const rt_kernel_tensor *x = &k->tensor[t];

	if (a->data[t] % COPY_BYTES)
		return false;
	for (int d = 0; d + 1 < x->rank; d++)
		if (extent(k, a, t, d) > 1 && a->stride[t][d] % (COPY_BYTES / x->bytes))
			return false;
	return true;
}

static rt_status put_tensors(const rt_kernel_signature *k, const rt_kernel_args *a,
	rt_kernel_packed *p, int32_t *aligned, int32_t *wanted, rt_error *err)
{
	static const int64_t no_stride;
	int outputs = 0;

	*aligned = 1;
	*wanted = 0;
	for (int t = 0; t < k->tensors; t++) {
		rt_status status = check_tensor(k, a, t, err);

		if (status)
			return status;
		if (k->tensor[t].copied && !is_left_out(k, a, t) && !is_aligned(k, a, t))
			*aligned = 0;
		if (k->tensor[t].output)
			*wanted |= (int32_t)!is_left_out(k, a, t) << outputs++;
		put(p, &a->data[t], 8);
	}
	for (int t = 0; t < k->tensors; t++)
		for (int d = 0; d + 1 < k->tensor[t].rank; d++)
			put(p, is_left_out(k, a, t) ? &no_stride : &a->stride[t][d], 8);
	return RT_OK;
}

/* --- lengths and params --- */

static rt_status put_lengths(
	const rt_kernel_signature *k, const rt_kernel_args *a, rt_kernel_packed *p, rt_error *err)
{
	for (int l = 0; l < k->lengths; l++) {
		int32_t v = (int32_t)a->length[l];

		if (a->length[l] < 0 || a->length[l] > RT_KERNEL_MOST)
			return rt_error_set(err, RT_SHAPE, NULL,
				"length %s = %lld is outside what a GPU kernel takes, 0 to %lld",
				k->length[l], (long long)a->length[l], (long long)RT_KERNEL_MOST);
		put(p, &v, 4);
	}
	return RT_OK;
}

static rt_status put_params(
	const rt_kernel_signature *k, const rt_kernel_args *a, rt_kernel_packed *p, rt_error *err)
{
	for (int n = 0; n < k->params; n++) {
		const rt_kernel_param *x = &k->param[n];
		int64_t v = a->param_int[n];
		float f = (float)a->param_float[n];
		int32_t i;

		if (x->is_float) {
			put(p, &f, 4);
			continue;
		}
		if (x->exact && (v < INT32_MIN || v > INT32_MAX))
			return rt_error_set(err, RT_ARGUMENT, NULL,
				"param %s = %lld does not fit into 32 bits", x->name, (long long)v);
		if (!x->exact)
			v = v > RT_KERNEL_MOST    ? RT_KERNEL_MOST
			    : v < -RT_KERNEL_MOST ? -RT_KERNEL_MOST
						  : v;
		i = (int32_t)v;
		put(p, &i, 4);
	}
	return RT_OK;
}

/* --- heads --- */

int64_t rt_kernel_heads(const rt_kernel_signature *k, const int64_t *length)
{
	if (k->head < 0 || k->group < 0 || length[k->head] <= 0 || length[k->group] <= 0)
		return 0;
	return length[k->head] / length[k->group];
}

bool rt_kernel_suits(const rt_kernel_signature *k, int64_t heads)
{
	return heads == 0 ||
	       (heads >= k->heads_least && (k->heads_most == 0 || heads <= k->heads_most));
}

/* --- grid --- */

/* Blocks of rows of one group, for all groups and batch coordinates. The kernel's arithmetic on both
 * is 32 bits wide. */
static rt_status find_grid(
	const rt_kernel_signature *k, const rt_kernel_args *a, unsigned grid[3], rt_error *err)
{
	int64_t rows = k->query < 0 ? 1 : a->length[k->query], parts = 1, groups = 1, blocks, all;

	if (k->group >= 0)
		parts = groups = a->length[k->group];
	for (int b = 0; b < k->batches; b++)
		if (__builtin_mul_overflow(parts, a->length[k->batch[b]], &parts))
			parts = INT64_MAX;
	if (k->head >= 0)
		rows *= groups ? a->length[k->head] / groups : 0;
	grid[0] = 0;
	grid[1] = grid[2] = 1;
	if (rows == 0 || parts == 0)
		return RT_OK;
	if (rows > INT32_MAX - k->rows)
		return rt_error_set(err, RT_SHAPE, NULL,
			"%lld rows of one group are more than the %lld that a GPU kernel takes",
			(long long)rows, (long long)(INT32_MAX - k->rows));
	blocks = (rows + k->rows - 1) / k->rows;
	if (__builtin_mul_overflow(blocks, parts, &all) || all > INT32_MAX)
		return rt_error_set(err, RT_SHAPE, NULL,
			"%lld blocks for each of %lld groups and batches are more than the %d "
			"that a grid takes",
			(long long)blocks, (long long)parts, INT32_MAX);
	grid[0] = (unsigned)all;
	return RT_OK;
}

rt_status rt_kernel_pack(const rt_kernel_signature *k, const rt_kernel_args *args,
	rt_kernel_packed *out, rt_error *err)
{
	int32_t aligned, wanted;
	rt_status status;

	out->size = 0;
	status = put_tensors(k, args, out, &aligned, &wanted, err);
	if (!status)
		status = put_lengths(k, args, out, err);
	if (!status)
		status = put_params(k, args, out, err);
	if (status)
		return status;
	put(out, &aligned, 4);
	put(out, &wanted, 4);
	out->maps = k->maps ? align_map(out->size) : out->size;
	memset(out->parameters + out->size, 0, rt_kernel_parameter_bytes(k) - out->size);
	out->size = rt_kernel_parameter_bytes(k);
	return find_grid(k, args, out->grid, err);
}

/* The assembler chooses where a tensor map lies among the parameters. */
static void each_parameter(
	const rt_kernel_signature *k, const rt_kernel_packed *packed, void *each[PARAMETERS_MOST])
{
	unsigned char *at = (unsigned char *)packed->parameters;
	int n = 0;

	for (uint32_t i = 0; i < wide_parameters(k); i++, at += 8)
		each[n++] = at;
	for (uint32_t i = 0; i < narrow_parameters(k); i++, at += 4)
		each[n++] = at;
	at = (unsigned char *)packed->parameters + packed->maps;
	for (int i = 0; i < k->maps; i++, at += sizeof(cu_tensor_map))
		each[n++] = at;
}

rt_status rt_kernel_start(rt_module *module, const rt_kernel_signature *k,
	const rt_kernel_packed *packed, int device, cu_stream stream, rt_error *err)
{
	void *each[PARAMETERS_MOST];
	rt_launch_config config = {.device = device,
		.stream = stream,
		.grid = {packed->grid[0], packed->grid[1], packed->grid[2]},
		.block = {(unsigned)k->threads, 1, 1},
		.shared = (unsigned)k->shared};

	if (k->maps) {
		each_parameter(k, packed, each);
		config.each = each;
	}
	return rt_launch(module, &config, packed->parameters, packed->size, err);
}

/* --- signatures from elsewhere --- */

static bool is_length(const rt_kernel_signature *k, int l)
{
	return l >= -1 && l < k->lengths;
}

static bool valid_tensor(const rt_kernel_signature *k, const rt_kernel_tensor *t)
{
	bool valid = t->rank <= RT_KERNEL_RANK && (t->bytes == 2 || t->bytes == 4 || t->bytes == 8);

	for (int d = 0; valid && d < t->rank; d++)
		valid = is_length(k, t->length[d]) && t->extent[d] >= 0;
	return valid;
}

static bool valid_map(const rt_kernel_signature *k, const rt_kernel_map *m)
{
	bool valid = m->tensor >= 0 && m->tensor < k->tensors;

	for (int d = 0; valid && d < k->tensor[m->tensor].rank; d++)
		valid = m->box[d] >= 1 && m->box[d] <= 256;
	return valid;
}

bool rt_kernel_valid(const rt_kernel_signature *k)
{
	bool valid = k->tensors >= 0 && k->tensors <= RT_KERNEL_TENSORS && k->lengths >= 0 &&
		     k->lengths <= RT_KERNEL_LENGTHS && k->params >= 0 &&
		     k->params <= RT_KERNEL_PARAMS && k->maps >= 0 && k->maps <= RT_KERNEL_MAPS &&
		     k->batches >= 0 && k->batches <= RT_KERNEL_RANK && k->threads >= 1 &&
		     k->threads <= 1024 && k->rows >= 1 && k->rows <= 1 << 20 && k->shared >= 0 &&
		     k->heads_least >= 0 && k->heads_most >= 0 && k->entry[0] &&
		     memchr(k->entry, 0, sizeof k->entry) && memchr(k->target, 0, sizeof k->target);

	if (!valid || !is_length(k, k->query) || !is_length(k, k->head) || !is_length(k, k->group))
		return false;
	for (int b = 0; b < k->batches; b++)
		valid &= k->batch[b] >= 0 && k->batch[b] < k->lengths;
	for (int t = 0; t < k->tensors; t++)
		valid &= valid_tensor(k, &k->tensor[t]);
	for (int m = 0; valid && m < k->maps; m++)
		valid = valid_map(k, &k->map[m]);
	return valid && rt_kernel_parameter_bytes(k) <= RT_KERNEL_PARAMETERS;
}
