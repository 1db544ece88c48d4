/* entry.c: one artifact on disk, a file KEY.KIND: a header, then the payload.
 *
 *      0  magic          8        72  SHA-256 of the payload           32
 *      8  version        4       104  producer, padded with 0          56
 *     12  header's size  4       160  SHA-256 of the bytes before it   32
 *     16  key           32       192  payload
 *     48  kind, padded  16            (integers are little-endian)
 *     64  payload size   8
 *
 * A file appears by rename and is never changed, so readers see all of it or nothing. Whatever
 * fails a check is damaged: reported, counted, removed, and absent for the caller. */
#include "runtime/cache/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define VERSION 1
enum {
	AT_VERSION = 8,
	AT_HEADER = 12,
	AT_KEY = 16,
	AT_KIND = 48,
	AT_SIZE = 64,
	AT_PAYLOAD_SHA = 72,
	AT_PRODUCER = 104,
	AT_HEADER_SHA = 160,
};

static const char magic[8] = {'T', 'K', 'L', 'C', 'A', 'C', 'H', 'E'};

static void put_int(unsigned char *at, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t get_int(const unsigned char *at, int bytes)
{
	uint64_t v = 0;
	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)at[i] << 8 * i;
	return v;
}

/* --- names --- */

void entry_name(const entry_id *id, char name[NAME_SIZE])
{
	rt_cache_key_hex(&id->key, name);
	name[RT_CACHE_KEY_HEX - 1] = '.';
	strcpy(name + RT_CACHE_KEY_HEX, id->kind);
}

bool entry_parse_name(const char *name, entry_id *id)
{
	return rt_cache_key_parse(name, &id->key) && name[64] == '.' &&
	       entry_set_kind(id, name + 65);
}

bool entry_set_kind(entry_id *id, const char *kind)
{
	size_t n = strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (n == 0 || n >= sizeof id->kind || kind[n])
		return false;
	memset(id->kind, 0, sizeof id->kind);
	memcpy(id->kind, kind, n);
	return true;
}

bool entry_is_temporary(const char *name)
{
	return strncmp(name, "tmp.", 4) == 0 && strlen(name) == 20 &&
	       strspn(name + 4, "0123456789abcdef") == 16;
}

/* --- reading --- */

/* Up to `size` bytes; fewer only at the end of the file. -1: errno. */
static ssize_t read_all(int fd, unsigned char *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		size_t want = size - have < (1u << 30) ? size - have : 1u << 30;
		ssize_t n = read(fd, to + have, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static void sha_256(unsigned char out[32], const void *data, size_t size)
{
	SHA2_CTX cx;
	SHA256Init(&cx);
	SHA256Update(&cx, data, size);
	SHA256Final(out, &cx);
}

static bool sha_matches(const void *data, size_t size, const unsigned char *want)
{
	unsigned char got[32];
	sha_256(got, data, size);
	return memcmp(got, want, sizeof got) == 0;
}

/* NULL, or what is wrong with a header of a file of `size` bytes. */
static const char *header_fault(const unsigned char *h, const entry_id *id, int64_t size)
{
	if (memcmp(h, magic, sizeof magic) != 0)
		return "is not an entry of this cache";
	if (get_int(h + AT_VERSION, 4) != VERSION || get_int(h + AT_HEADER, 4) != HEADER_SIZE)
		return "has another format";
	if (!sha_matches(h, AT_HEADER_SHA, h + AT_HEADER_SHA))
		return "has a damaged header";
	if (memcmp(h + AT_KEY, id->key.byte, 32) != 0 ||
		memcmp(h + AT_KIND, id->kind, RT_CACHE_KIND) != 0)
		return "belongs to another key";
	if (get_int(h + AT_SIZE, 8) != (uint64_t)(size - HEADER_SIZE))
		return "has a wrong length";
	return NULL;
}

/* An open entry under inspection. */
typedef struct {
	int fd;
	struct stat st;
	unsigned char header[HEADER_SIZE];
	rt_blob *payload;
	char why[80];
} opened;

/* NULL, or what is wrong with an open file; reads the payload with `payload`. */
static const char *entry_fault(opened *f, const cache_dir *d, const entry_id *id, bool payload)
{
	if (!S_ISREG(f->st.st_mode))
		return "is not a regular file";
	const char *fault = directory_distrust(&f->st, d->secondary, f->why);
	if (fault)
		return fault;
	ssize_t n = read_all(f->fd, f->header, HEADER_SIZE);
	if (n < 0)
		return "cannot be read";
	if (n < HEADER_SIZE)
		return "is shorter than its header";
	fault = header_fault(f->header, id, f->st.st_size);
	if (fault || !payload)
		return fault;

	size_t size = (size_t)(f->st.st_size - HEADER_SIZE);
	f->payload = rt_blob_create(size);
	if (!f->payload) /* out of memory: absent, but not damaged */
		return NULL;
	n = read_all(f->fd, rt_blob_data(f->payload), size);
	if (n < 0)
		return "cannot be read";
	if ((size_t)n < size)
		return "has a wrong length";
	if (!sha_matches(rt_blob_data(f->payload), size, f->header + AT_PAYLOAD_SHA))
		return "has a damaged payload";
	return NULL;
}

/* Removes a damaged file, unless another process has put a new one in its place. */
static bool remove_damaged(
	rt_cache *c, const cache_dir *d, const char *name, const struct stat *was)
{
	struct stat st;

	if (d->secondary || !c->writable)
		return false;
	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (st.st_dev != was->st_dev || st.st_ino != was->st_ino)
		return false;
	return unlinkat(d->fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0;
}

static void report_damaged(
	rt_cache *c, const cache_dir *d, const char *name, const char *fault, const struct stat *st)
{
	bool removed = remove_damaged(c, d, name, st);

	c->count.damaged++;
	cache_note(c, RT_CACHE_DAMAGED, "cache entry '%s/%s' %s; it is %s", d->path, name, fault,
		removed ? "removed" : "ignored");
}

/* What an entry that cannot be opened suffers from; NULL: nothing, it is this process that lacks
 * something. */
static const char *open_fault(int error)
{
	switch (error) {
	case ELOOP:
		return "is a symbolic link";
	case EACCES:
	case EPERM:
		return "may not be opened";
	case ENXIO:
	case ENODEV:
		return "is not a regular file";
	case EIO:
		return "cannot be read";
	}
	return NULL;
}

/* Opens without following links or waiting for a pipe's writer, and checks. False: there is no
 * entry to speak of. `fault` says what is wrong with it, NULL: nothing. */
static bool entry_open(
	const cache_dir *d, const entry_id *id, bool payload, opened *f, const char **fault)
{
	char name[NAME_SIZE];

	entry_name(id, name);
	*f = (opened){.fd = openat(d->fd, name,
			      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
	if (f->fd >= 0) {
		if (fstat(f->fd, &f->st) == 0) {
			*fault = entry_fault(f, d, id, payload);
			return true;
		}
		close(f->fd);
		return false;
	}
	*fault = open_fault(errno);
	return *fault && fstatat(d->fd, name, &f->st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Ends what entry_open began; damage is reported and removed. */
static void entry_close(
	rt_cache *c, const cache_dir *d, const entry_id *id, opened *f, const char *damage)
{
	char name[NAME_SIZE];

	if (f->fd >= 0)
		close(f->fd);
	if (!damage)
		return;
	entry_name(id, name);
	report_damaged(c, d, name, damage, &f->st);
}

rt_blob *entry_load(rt_cache *c, const cache_dir *d, const entry_id *id)
{
	const char *fault;
	opened f;

	if (!entry_open(d, id, true, &f, &fault))
		return NULL;
	if (!fault && f.payload && !d->secondary && c->writable)
		futimens(f.fd, NULL); /* last use; if it fails, the entry only goes earlier */
	entry_close(c, d, id, &f, fault);
	if (!fault)
		return f.payload;
	rt_blob_release(f.payload);
	return NULL;
}

bool entry_inspect(
	rt_cache *c, const cache_dir *d, const entry_id *id, bool payload, rt_cache_entry *e)
{
	opened f;

	*e = (rt_cache_entry){.directory = d->path, .secondary = d->secondary};
	rt_cache_key_hex(&id->key, e->key);
	memcpy(e->kind, id->kind, sizeof e->kind);
	if (!entry_open(d, id, payload, &f, &e->damage))
		return false;
	e->bytes = f.st.st_size;
	e->used = f.st.st_mtime;
	if (!e->damage) /* the digest holds, and a writer always ends the text */
		memcpy(e->producer, f.header + AT_PRODUCER, sizeof e->producer - 1);
	entry_close(c, d, id, &f, payload ? e->damage : NULL);
	rt_blob_release(f.payload);
	if (e->damage == f.why) /* which ends with this call */
		e->damage = "belongs to others or can be written by them";
	return true;
}

/* --- writing --- */

static bool write_all(int fd, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n < (1u << 30) ? n : 1u << 30);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

static void header_fill(const rt_cache *c, const entry_id *id, rt_blob *blob, unsigned char *h)
{
	memset(h, 0, HEADER_SIZE);
	memcpy(h, magic, sizeof magic);
	put_int(h + AT_VERSION, VERSION, 4);
	put_int(h + AT_HEADER, HEADER_SIZE, 4);
	memcpy(h + AT_KEY, id->key.byte, 32);
	memcpy(h + AT_KIND, id->kind, RT_CACHE_KIND);
	put_int(h + AT_SIZE, rt_blob_size(blob), 8);
	sha_256(h + AT_PAYLOAD_SHA, rt_blob_data(blob), rt_blob_size(blob));
	memcpy(h + AT_PRODUCER, c->producer, RT_CACHE_PRODUCER);
	sha_256(h + AT_HEADER_SHA, h, AT_HEADER_SHA);
}

/* A new file for us alone, under a name that nobody else has. -1: errno. */
static int temporary_open(int dir, char name[NAME_SIZE])
{
	for (int tries = 0; tries < 16; tries++) {
		uint64_t random = 0;
		if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
			random = (uint64_t)cache_clock() * UINT64_C(0x9e3779b97f4a7c15) +
				 (uint64_t)getpid();
		snprintf(name, NAME_SIZE, "tmp.%016" PRIx64, random);
		int fd = openat(
			dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

/* Writes header and payload and gives the file its name. 0 or errno; nothing is left behind. */
static int store_file(rt_cache *c, const entry_id *id, rt_blob *blob)
{
	unsigned char header[HEADER_SIZE];
	char temporary[NAME_SIZE], name[NAME_SIZE];
	int fd = temporary_open(c->own.fd, temporary), error = 0;

	if (fd < 0)
		return errno;
	entry_name(id, name);
	header_fill(c, id, blob, header);
	if (!write_all(fd, header, sizeof header) ||
		!write_all(fd, rt_blob_data(blob), rt_blob_size(blob)) || fsync(fd) != 0)
		error = errno;
	if (close(fd) != 0 && !error)
		error = errno;
	if (!error && renameat(c->own.fd, temporary, c->own.fd, name) != 0)
		error = errno;
	if (error)
		unlinkat(c->own.fd, temporary, 0);
	return error;
}

/* Which faults end all writing: later attempts would only repeat them. */
static bool is_lasting(int error)
{
	return error == EROFS || error == EACCES || error == EPERM || error == ENOENT;
}

void entry_store(rt_cache *c, const entry_id *id, rt_blob *blob)
{
	int64_t size = HEADER_SIZE + (int64_t)rt_blob_size(blob);
	int error = size > c->limit ? EFBIG : store_file(c, id, blob);

	if (error) {
		c->count.not_stored++;
		unsigned bit = 1u << ((unsigned)error % 32);
		if (is_lasting(error))
			c->writable = false;
		if (!(atomic_fetch_or(&c->reported, bit) & bit))
			cache_note(c, RT_CACHE_NOT_STORED,
				"cannot write to cache directory '%s': %s; %s", c->own.path,
				error == EFBIG ? "the artifact exceeds the size bound"
					       : strerror(error),
				is_lasting(error) ? "the cache is in memory only from now on"
						  : "the artifact is in memory only");
		return;
	}
	/* Makes the name survive a power failure; where directories cannot be synchronised, it may
	 * not. */
	fsync(c->own.fd);
	c->count.stores++;
	sweep_after_store(c, size);
}
