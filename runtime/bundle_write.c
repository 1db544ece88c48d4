/* bundle_write: the bytes of a bundle. The digest goes in last. */
#include "runtime/bundle_io.h"
#include <stdlib.h>
#include <string.h>

static void write_head(bundle_io *io, uint64_t size, unsigned char digest[BUNDLE_DIGEST])
{
	char magic[] = BUNDLE_MAGIC;
	uint32_t version = RT_BUNDLE_VERSION, zero = 0;

	bundle_io_bytes(io, magic, sizeof magic - 1);
	bundle_io_u32(io, &version);
	bundle_io_u32(io, &zero);
	bundle_io_u64(io, &size);
	bundle_io_bytes(io, digest, BUNDLE_DIGEST);
}

void *rt_bundle_write(
	const char *producer, const rt_bundle_kernel *kernel, int kernels, size_t *size)
{
	bundle_io io = {.writing = true, .bad = kernels < 1 || kernels > RT_BUNDLE_KERNELS};
	unsigned char digest[BUNDLE_DIGEST] = {0};
	uint32_t n = (uint32_t)kernels;

	write_head(&io, 0, digest);
	bundle_io_string(&io, &producer);
	bundle_io_u32(&io, &n);
	for (int k = 0; k < kernels && !io.bad; k++) {
		rt_bundle_kernel copy = kernel[k];

		bundle_io_kernel(&io, &copy);
	}
	if (io.bad || io.full) {
		free(io.data);
		return NULL;
	}
	*size = io.size;
	bundle_io_digest(io.data + BUNDLE_HEAD, io.size - BUNDLE_HEAD, digest);
	io.at = 0;
	write_head(&io, *size, digest);
	return io.data;
}
