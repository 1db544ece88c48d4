/* bundle_io.h: the fields of a bundle, visited in the order of the file. One function for each struct
 * serves reading and writing, so that the two cannot disagree. */
#pragma once
#include "runtime/bundle.h"

#define BUNDLE_MAGIC "TRIKLBND"

enum { BUNDLE_DIGEST = 32, BUNDLE_HEAD = 8 + 4 + 4 + 8 + BUNDLE_DIGEST };

/* Memory that is freed together. */
typedef struct bundle_block bundle_block;

typedef struct {
	bool writing;
	bool bad;  /* reading: what does not make sense; writing: too many of something */
	bool full; /* out of memory */
	unsigned char *data;
	size_t size, at, room; /* room: writing */
	bundle_block *blocks;  /* reading: what the fields point to */
} bundle_io;

void bundle_io_bytes(bundle_io *io, void *bytes, size_t size);
void bundle_io_u32(bundle_io *io, uint32_t *v);
void bundle_io_u64(bundle_io *io, uint64_t *v);
/* A zero-terminated string in memory of the io. */
void bundle_io_string(bundle_io *io, const char **s);
void bundle_io_kernel(bundle_io *io, rt_bundle_kernel *k);
/* Zeroed, freed by bundle_io_free. NULL: out of memory (io->full). */
void *bundle_io_alloc(bundle_io *io, size_t size);
void bundle_io_free(bundle_block *blocks);
/* SHA-256 of the bytes. */
void bundle_io_digest(const void *data, size_t size, unsigned char digest[BUNDLE_DIGEST]);
