/* bundle_io: the fields of a bundle, in the order of the file.
 * in:  bytes, or structs      out: the other of both
 * relies on: bundle_read, which checks the meaning of what was read; here only sizes are. */
#include "runtime/bundle_io.h"
#include <sha2.h>
#include <stdlib.h>
#include <string.h>

struct bundle_block {
	bundle_block *next;
	_Alignas(16) unsigned char data[];
};

void *bundle_io_alloc(bundle_io *io, size_t size)
{
	bundle_block *b = calloc(1, sizeof *b + size);

	if (!b) {
		io->full = true;
		return NULL;
	}
	b->next = io->blocks;
	io->blocks = b;
	return b->data;
}

void bundle_io_free(bundle_block *b)
{
	for (bundle_block *next; b; b = next) {
		next = b->next;
		free(b);
	}
}

void bundle_io_digest(const void *data, size_t size, unsigned char digest[BUNDLE_DIGEST])
{
	SHA2_CTX cx;

	SHA256Init(&cx);
	SHA256Update(&cx, data, size);
	SHA256Final(digest, &cx);
}

/* --- bytes --- */

static bool make_room(bundle_io *io, size_t size)
{
	size_t room = io->room ? io->room : 4096;
	unsigned char *data;

	while (room < io->at + size)
		room *= 2;
	if (room == io->room)
		return true;
	data = realloc(io->data, room);
	if (!data) {
		io->full = true;
		return false;
	}
	io->data = data;
	io->room = room;
	return true;
}

void bundle_io_bytes(bundle_io *io, void *bytes, size_t size)
{
	if (io->bad || io->full || size == 0)
		return;
	if (io->writing) {
		if (!make_room(io, size))
			return;
		memcpy(io->data + io->at, bytes, size);
		io->at += size;
		io->size = io->at;
		return;
	}
	if (size > io->size - io->at) {
		io->bad = true;
		return;
	}
	memcpy(bytes, io->data + io->at, size);
	io->at += size;
}

void bundle_io_u64(bundle_io *io, uint64_t *v)
{
	unsigned char b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (unsigned char)(*v >> 8 * i);
	bundle_io_bytes(io, b, sizeof b);
	*v = 0;
	for (int i = 0; i < 8; i++)
		*v |= (uint64_t)b[i] << 8 * i;
}

void bundle_io_u32(bundle_io *io, uint32_t *v)
{
	uint64_t wide = *v;
	unsigned char b[4];

	for (int i = 0; i < 4; i++)
		b[i] = (unsigned char)(wide >> 8 * i);
	bundle_io_bytes(io, b, sizeof b);
	*v = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* The number of things that follow, at most `most`. */
static int count(bundle_io *io, int n, int most)
{
	uint32_t v = (uint32_t)n;

	bundle_io_u32(io, &v);
	if (v > (uint32_t)most)
		io->bad = true;
	return io->bad || io->full ? 0 : (int)v;
}

static void i32(bundle_io *io, int32_t *v)
{
	uint32_t u = (uint32_t)*v;

	bundle_io_u32(io, &u);
	*v = (int32_t)u;
}

static void i16(bundle_io *io, int16_t *v)
{
	int32_t wide = *v;

	i32(io, &wide);
	io->bad |= wide < INT16_MIN || wide > INT16_MAX;
	*v = (int16_t)wide;
}

static void u8(bundle_io *io, uint8_t *v)
{
	bundle_io_bytes(io, v, 1);
}

static void flag(bundle_io *io, bool *v)
{
	uint8_t byte = *v;

	u8(io, &byte);
	io->bad |= byte > 1;
	*v = byte != 0;
}

void bundle_io_string(bundle_io *io, const char **s)
{
	int length = count(io, io->writing ? (int)strlen(*s) : 0, 1 << 20);
	char *copy;

	if (io->writing) {
		bundle_io_bytes(io, (void *)(uintptr_t)*s, (size_t)length);
		return;
	}
	if ((size_t)length > io->size - io->at)
		io->bad = true;
	copy = io->bad ? NULL : bundle_io_alloc(io, (size_t)length + 1);
	*s = copy ? copy : "";
	if (copy)
		bundle_io_bytes(io, copy, (size_t)length);
	io->bad |= copy && strlen(copy) != (size_t)length;
}

/* Text in an array, zero behind it. */
static void array(bundle_io *io, char *text, size_t room)
{
	const char *s = text;

	bundle_io_string(io, &s);
	if (io->writing)
		return;
	io->bad |= strlen(s) >= room;
	memset(text, 0, room);
	if (!io->bad)
		memcpy(text, s, strlen(s));
}

/* --- the interface --- */

/* Where a list of the interface is: given when writing, made when reading. */
static void *list(bundle_io *io, const void *given, int n, size_t item)
{
	return io->writing ? (void *)(uintptr_t)given : bundle_io_alloc(io, (size_t)n * item + 1);
}

static void dimension(bundle_io *io, tkl_dimension *d)
{
	int32_t length = d->length;
	uint64_t extent = (uint64_t)d->extent;

	bundle_io_string(io, &d->name);
	i32(io, &length);
	bundle_io_u64(io, &extent);
	d->length = length;
	d->extent = (int64_t)extent;
}

static void tensor(bundle_io *io, tkl_tensor_info *t)
{
	bool output = t->is_output != 0;
	tkl_dimension *dim;
	tkl_dimension d;

	bundle_io_string(io, &t->name);
	u8(io, &t->dtype.code);
	u8(io, &t->dtype.bits);
	flag(io, &output);
	t->ndim = count(io, t->ndim, RT_INTERFACE_RANK);
	dim = list(io, t->dimensions, t->ndim, sizeof *dim);
	for (int n = 0; dim && n < t->ndim; n++) {
		d = dim[n];
		dimension(io, &d);
		if (!io->writing)
			dim[n] = d;
	}
	if (io->writing)
		return;
	t->struct_size = sizeof *t;
	t->dtype.lanes = 1;
	t->is_output = output;
	t->dimensions = dim;
}

static void length(bundle_io *io, tkl_length_info *l)
{
	int32_t divides = l->divides;
	bool implied = l->is_implied != 0;

	bundle_io_string(io, &l->name);
	i32(io, &divides);
	flag(io, &implied);
	l->struct_size = sizeof *l;
	l->divides = divides;
	l->is_implied = implied;
}

static void param(bundle_io *io, tkl_param_info *p)
{
	bool is_float = p->type == TKL_PARAM_FLOAT;
	uint64_t value;

	bundle_io_string(io, &p->name);
	flag(io, &is_float);
	memcpy(&value, &p->default_value, sizeof value);
	bundle_io_u64(io, &value);
	memcpy(&p->default_value, &value, sizeof value);
	p->struct_size = sizeof *p;
	p->type = is_float ? TKL_PARAM_FLOAT : TKL_PARAM_INT;
}

/* One visit of each item of a list; copies, so that what is written stays as it is. */
#define VISIT(io, visit, type, items, n)                                                           \
	do {                                                                                       \
		type *list_ = list(io, items, n, sizeof(type));                                    \
		for (int i_ = 0; list_ && i_ < (n) && !(io)->bad; i_++) {                          \
			type item_ = list_[i_];                                                    \
			visit(io, &item_);                                                         \
			if (!(io)->writing)                                                        \
				list_[i_] = item_;                                                 \
		}                                                                                  \
		items = list_;                                                                     \
	} while (0)

static void interface(bundle_io *io, rt_interface *f)
{
	bundle_io_string(io, &f->name);
	f->tensors = count(io, f->tensors, RT_KERNEL_TENSORS);
	f->inputs = count(io, f->inputs, f->tensors);
	VISIT(io, tensor, tkl_tensor_info, f->tensor, f->tensors);
	f->lengths = count(io, f->lengths, RT_KERNEL_LENGTHS);
	VISIT(io, length, tkl_length_info, f->length, f->lengths);
	f->params = count(io, f->params, RT_KERNEL_PARAMS);
	VISIT(io, param, tkl_param_info, f->param, f->params);
}

/* --- images --- */

static void kernel_tensor(bundle_io *io, rt_kernel_tensor *t)
{
	array(io, t->name, sizeof t->name);
	u8(io, &t->bytes);
	u8(io, &t->rank);
	io->bad |= t->rank > RT_KERNEL_RANK;
	flag(io, &t->output);
	flag(io, &t->copied);
	for (int d = 0; !io->bad && d < t->rank; d++) {
		i16(io, &t->length[d]);
		i32(io, &t->extent[d]);
	}
}

static void kernel_map(bundle_io *io, rt_kernel_map *m)
{
	i16(io, &m->tensor);
	for (int d = 0; d < RT_KERNEL_RANK; d++)
		i16(io, &m->box[d]);
}

static void signature(bundle_io *io, rt_kernel_signature *k)
{
	int32_t *const plain[] = {&k->threads, &k->rows, &k->shared, &k->query, &k->head, &k->group,
		&k->heads_least, &k->heads_most};

	array(io, k->entry, sizeof k->entry);
	array(io, k->target, sizeof k->target);
	for (size_t n = 0; n < sizeof plain / sizeof *plain; n++)
		i32(io, plain[n]);
	k->batches = count(io, k->batches, RT_KERNEL_RANK);
	for (int n = 0; n < k->batches; n++)
		i32(io, &k->batch[n]);
	k->tensors = count(io, k->tensors, RT_KERNEL_TENSORS);
	for (int n = 0; n < k->tensors && !io->bad; n++)
		kernel_tensor(io, &k->tensor[n]);
	k->lengths = count(io, k->lengths, RT_KERNEL_LENGTHS);
	for (int n = 0; n < k->lengths && !io->bad; n++)
		array(io, k->length[n], RT_KERNEL_NAME);
	k->params = count(io, k->params, RT_KERNEL_PARAMS);
	for (int n = 0; n < k->params && !io->bad; n++) {
		array(io, k->param[n].name, RT_KERNEL_NAME);
		flag(io, &k->param[n].is_float);
		flag(io, &k->param[n].exact);
	}
	k->maps = count(io, k->maps, RT_KERNEL_MAPS);
	for (int n = 0; n < k->maps && !io->bad; n++)
		kernel_map(io, &k->map[n]);
}

/* The code stays where it is in the file's bytes when it is read. */
static void image(bundle_io *io, rt_bundle_image *i)
{
	uint64_t size = i->size;

	signature(io, &i->signature);
	bundle_io_u64(io, &size);
	if (io->writing) {
		bundle_io_bytes(io, (void *)(uintptr_t)i->code, i->size);
		return;
	}
	if (io->bad || size > io->size - io->at) {
		io->bad = true;
		return;
	}
	i->code = io->data + io->at;
	i->size = (size_t)size;
	io->at += i->size;
}

void bundle_io_kernel(bundle_io *io, rt_bundle_kernel *k)
{
	interface(io, &k->interface);
	k->images = count(io, k->images, RT_BUNDLE_IMAGES);
	VISIT(io, image, rt_bundle_image, k->image, k->images);
}
