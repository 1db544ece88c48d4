/* bundle_read: kernels from the bytes of a bundle.
 * in:  bytes from anywhere      out: kernels whose every count and index is in range, or why not */
#include "runtime/bundle_io.h"
#include <stdlib.h>
#include <string.h>

struct rt_bundle {
	unsigned char *data; /* the images' code lies in it */
	bundle_block *blocks;
	const char *producer;
	int kernels;
	rt_bundle_kernel kernel[RT_BUNDLE_KERNELS];
};

/* --- what the kernels say --- */

static bool valid_tensor(const rt_interface *f, const tkl_tensor_info *t, bool output)
{
	bool valid = t->name && *t->name && (bool)t->is_output == output &&
		     (t->dtype.bits == 16 || t->dtype.bits == 32 || t->dtype.bits == 64);

	for (int d = 0; valid && d < t->ndim; d++) {
		const tkl_dimension *x = &t->dimensions[d];

		valid = x->length >= -1 && x->length < f->lengths &&
			(x->length >= 0 ? x->extent == -1 : x->extent >= 0);
	}
	return valid;
}

static bool valid_interface(const rt_interface *f)
{
	bool valid = f->name && *f->name;

	for (int t = 0; valid && t < f->tensors; t++)
		valid = valid_tensor(f, &f->tensor[t], t >= f->inputs);
	for (int l = 0; valid && l < f->lengths; l++)
		valid = *f->length[l].name && f->length[l].divides >= -1 &&
			f->length[l].divides < f->lengths && f->length[l].divides != l;
	for (int p = 0; valid && p < f->params; p++)
		valid = *f->param[p].name != 0;
	return valid;
}

/* The image takes what the interface passes. */
static bool valid_image(const rt_interface *f, const rt_bundle_image *i)
{
	const rt_kernel_signature *k = &i->signature;
	bool valid = rt_kernel_valid(k) && i->size > 0 && k->tensors == f->tensors &&
		     k->lengths == f->lengths && k->params == f->params;

	for (int t = 0; valid && t < f->tensors; t++)
		valid = k->tensor[t].rank == f->tensor[t].ndim &&
			k->tensor[t].bytes * 8 == f->tensor[t].dtype.bits;
	for (int p = 0; valid && p < f->params; p++)
		valid = k->param[p].is_float == (f->param[p].type == TKL_PARAM_FLOAT);
	return valid;
}

static bool valid_kernel(const rt_bundle_kernel *k)
{
	bool valid = valid_interface(&k->interface) && k->images > 0;

	for (int i = 0; valid && i < k->images; i++)
		valid = valid_image(&k->interface, &k->image[i]);
	return valid;
}

/* --- the file --- */

/* The head; what follows it is what the digest says. */
static rt_status check_head(bundle_io *io, rt_error *err)
{
	unsigned char magic[8] = {0}, said[BUNDLE_DIGEST] = {0}, is[BUNDLE_DIGEST];
	uint32_t version = 0, zero = 0;
	uint64_t size = 0;

	bundle_io_bytes(io, magic, sizeof magic);
	bundle_io_u32(io, &version);
	bundle_io_u32(io, &zero);
	bundle_io_u64(io, &size);
	bundle_io_bytes(io, said, sizeof said);
	if (memcmp(magic, BUNDLE_MAGIC, sizeof magic))
		return rt_error_set(err, RT_LAYOUT, NULL, "these bytes are no bundle of kernels");
	if (!io->bad && version != RT_BUNDLE_VERSION)
		return rt_error_set(err, RT_LAYOUT, NULL,
			"the bundle has format %u, this library reads format %d: build it again",
			version, RT_BUNDLE_VERSION);
	if (io->bad || size != io->size)
		return rt_error_set(err, RT_LAYOUT, NULL,
			"the bundle is truncated: %zu bytes of %llu", io->size,
			(unsigned long long)size);
	bundle_io_digest(io->data + BUNDLE_HEAD, io->size - BUNDLE_HEAD, is);
	if (zero || memcmp(is, said, sizeof is))
		return rt_error_set(err, RT_LAYOUT, NULL, "the bundle is damaged");
	return RT_OK;
}

static rt_status read_kernels(rt_bundle *b, bundle_io *io, rt_error *err)
{
	uint32_t n = 0;

	bundle_io_string(io, &b->producer);
	bundle_io_u32(io, &n);
	if (n < 1 || n > RT_BUNDLE_KERNELS)
		io->bad = true;
	for (uint32_t k = 0; k < n && !io->bad && !io->full; k++) {
		bundle_io_kernel(io, &b->kernel[k]);
		io->bad |= !io->bad && !io->full && !valid_kernel(&b->kernel[k]);
	}
	if (io->full)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	if (io->bad || io->at != io->size)
		return rt_error_set(err, RT_LAYOUT, NULL, "the bundle makes no sense");
	b->kernels = (int)n;
	return RT_OK;
}

rt_status rt_bundle_open(const void *data, size_t size, rt_bundle **bundle, rt_error *err)
{
	rt_bundle *b = calloc(1, sizeof *b);
	bundle_io io = {.size = size};
	rt_status status;

	*bundle = NULL;
	io.data = b ? malloc(size + 1) : NULL;
	if (!io.data) {
		free(b);
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	}
	if (size)
		memcpy(io.data, data, size);
	b->data = io.data;
	status = check_head(&io, err);
	if (!status)
		status = read_kernels(b, &io, err);
	b->blocks = io.blocks;
	if (status)
		rt_bundle_close(b);
	else
		*bundle = b;
	return status;
}

void rt_bundle_close(rt_bundle *b)
{
	if (!b)
		return;
	bundle_io_free(b->blocks);
	free(b->data);
	free(b);
}

const char *rt_bundle_producer(const rt_bundle *b)
{
	return b->producer;
}

int rt_bundle_kernels(const rt_bundle *b)
{
	return b->kernels;
}

const rt_bundle_kernel *rt_bundle_kernel_at(const rt_bundle *b, int index)
{
	return &b->kernel[index];
}
