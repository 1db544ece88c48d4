/* blob.c: bytes with a reference count. */
#include "runtime/cache/internal.h"
#include <stdlib.h>
#include <string.h>

struct rt_blob {
	_Atomic int64_t owners;
	size_t size;
	_Alignas(16) unsigned char data[];
};

rt_blob *rt_blob_create(size_t size)
{
	if (size > PTRDIFF_MAX - sizeof(rt_blob))
		return NULL;
	rt_blob *b = malloc(sizeof *b + size);
	if (!b)
		return NULL;
	atomic_init(&b->owners, 1);
	b->size = size;
	return b;
}

rt_blob *rt_blob_copy(const void *data, size_t size)
{
	rt_blob *b = rt_blob_create(size);
	if (b && size > 0)
		memcpy(b->data, data, size);
	return b;
}

void *rt_blob_data(rt_blob *b)
{
	return b->data;
}

size_t rt_blob_size(const rt_blob *b)
{
	return b->size;
}

rt_blob *rt_blob_retain(rt_blob *b)
{
	atomic_fetch_add_explicit(&b->owners, 1, memory_order_relaxed);
	return b;
}

void rt_blob_release(rt_blob *b)
{
	if (b && atomic_fetch_sub_explicit(&b->owners, 1, memory_order_acq_rel) == 1)
		free(b);
}
