/* bundle.h: kernels in one file, for libtrikl-rt: each with its interface and with code for several
 * GPU targets. `trikl build --emit bundle` writes one.
 *
 * The file: "TRIKLBND", the format's version, the size of all, the SHA-256 of what follows; then the
 * name of the producer and the kernels, field by field, little-endian (bundle_io.c has the order). The same
 * inputs give the same bytes. What is read is checked: sizes, the digest, then every count and
 * index. Another version of the format is refused: such a file must be built again.
 *
 * A bundle is constant once it is open: any thread may read it. */
#pragma once
#include "runtime/interface.h"
#include "runtime/kernel.h"

#define RT_BUNDLE_VERSION 2
#define RT_BUNDLE_KERNELS 64
#define RT_BUNDLE_IMAGES 32 /* of one kernel */

/* Code for one target, and how it is launched. */
typedef struct {
	rt_kernel_signature signature;
	const void *code; /* PTX or a cubin */
	size_t size;
} rt_bundle_image;

typedef struct {
	rt_interface interface;
	int images;
	const rt_bundle_image *image;
} rt_bundle_kernel;

/* --- reading: bundle_read.c --- */

typedef struct rt_bundle rt_bundle;

/* Reads a bundle that lies at `data`; copies what it needs. Errors: LAYOUT (no bundle, another
 * version of the format, truncated, damaged), NO_MEMORY. */
rt_status rt_bundle_open(const void *data, size_t size, rt_bundle **bundle, rt_error *err);
void rt_bundle_close(rt_bundle *b); /* NULL is ignored */
const char *rt_bundle_producer(const rt_bundle *b);
int rt_bundle_kernels(const rt_bundle *b);
const rt_bundle_kernel *rt_bundle_kernel_at(const rt_bundle *b, int index);

/* --- writing: bundle_write.c --- */

/* The bytes of a bundle, to be freed; NULL: out of memory, or more kernels, images or dimensions
 * than a bundle takes. */
void *rt_bundle_write(
	const char *producer, const rt_bundle_kernel *kernel, int kernels, size_t *size);
