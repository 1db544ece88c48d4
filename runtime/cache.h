/* cache.h: compiled artifacts, kept in memory and on disk under the digest of what they were made
 * of.
 *
 *   cache/key.c        digests of labelled fields          cache/settings.c   the environment
 *   cache/blob.c       shared bytes                        cache/directory.c  which directory is
 * safe to use cache/memory.c     the layer in memory                 cache/entry.c      one file:
 * header, checks, writing cache/lock.c       one process makes, others wait      cache/sweep.c size
 * bound, listing, clearing cache/cache.c      opening, rt_cache_get_or_make
 *
 * A cache never makes a result wrong and never fails because of the disk: what cannot be read is
 * made again, what cannot be written stays in memory, and `report` hears of it. Nothing is printed.
 * A cache may be used by several threads at once, but not in a child process after fork(): open
 * another there. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rt_cache rt_cache;

/* --- blob.c: bytes with a reference count --- */

typedef struct rt_blob rt_blob;

/* `size` bytes, not initialised, to be filled before they are shared. NULL: out of memory. */
rt_blob *rt_blob_create(size_t size);
/* A copy of `size` bytes. */
rt_blob *rt_blob_copy(const void *data, size_t size);
void *rt_blob_data(rt_blob *b);
size_t rt_blob_size(const rt_blob *b);
/* One more owner; returns b. */
rt_blob *rt_blob_retain(rt_blob *b);
/* One owner less; the last one frees. NULL is ignored. */
void rt_blob_release(rt_blob *b);

/* --- key.c: what an artifact depends on --- */

#define RT_CACHE_KEY_HEX 65 /* digits and the terminating 0 */

typedef struct {
	unsigned char byte[32];
} rt_cache_key;

/* A digest under way. It points into itself: never copy one. */
typedef struct {
	uint64_t state[32];
	rt_cache_key key;
} rt_cache_digest;

/* A key is the SHA-256 of its fields, each a label and a value with their lengths, in the order
 * given. Everything that changes the artifact must be a field: canonical spec, options, compiler
 * build, LLVM version, full target, and the assembler's version for machine code. Nothing else may
 * be: no lengths of a run, paths or dates. */
void rt_cache_key_begin(rt_cache_digest *d);
void rt_cache_key_bytes(rt_cache_digest *d, const char *label, const void *data, size_t size);
void rt_cache_key_text(rt_cache_digest *d, const char *label, const char *value);
void rt_cache_key_int(rt_cache_digest *d, const char *label, int64_t value);
rt_cache_key rt_cache_key_end(rt_cache_digest *d);
/* Lower-case hexadecimal digits. */
void rt_cache_key_hex(const rt_cache_key *key, char hex[RT_CACHE_KEY_HEX]);

/* Of text that begins with these digits; false: it does not. */
bool rt_cache_key_parse(const char *hex, rt_cache_key *key);

/* --- settings.c, directory.c, cache.c --- */

#define RT_CACHE_KIND 16     /* longest kind, with its 0 */
#define RT_CACHE_PRODUCER 56 /* longest producer, with its 0 */

typedef enum {
	RT_CACHE_BAD_SETTING,  /* a variable of the environment makes no sense */
	RT_CACHE_NO_DIRECTORY, /* the environment names none */
	RT_CACHE_REFUSED,      /* a directory that others could tamper with */
	RT_CACHE_UNUSABLE,     /* a directory that cannot be made or opened */
	RT_CACHE_DAMAGED,      /* an entry failed a check; it counts as absent */
	RT_CACHE_NOT_STORED,   /* an entry could not be written */
	RT_CACHE_GAVE_UP,      /* another process holds a key too long; made here as well */
	RT_CACHE_EVENTS
} rt_cache_event;

/* `text` is one sentence without full stop, valid during the call. Any thread that uses the cache
 * may call. */
typedef void (*rt_cache_report)(void *user, rt_cache_event event, const char *text);

/* Zero and NULL mean the default. */
typedef struct {
	const char *directory; /* default: rt_cache_default_directory */
	const char *producer;  /* build of the compiler, kept in each entry for the reader */
	int64_t limit;         /* bytes on disk; default: TRIKL_CACHE_SIZE, else 1 GiB */
	int64_t memory_limit;  /* bytes in memory; default: 256 MiB */
	int wait_ms;           /* for another maker of the key; default: 10 s, -1: none */
	bool disabled;         /* memory only; also by TRIKL_CACHE_DISABLE=1 */
	bool readonly;         /* never writes; also by TRIKL_CACHE_READONLY=1 */
	rt_cache_report report;
	void *user;
} rt_cache_options;

/* The directory that the environment asks for: TRIKL_CACHE_DIR, else $XDG_CACHE_HOME/trikl when
 * absolute, else $HOME/.cache/trikl; to be freed. NULL: none of them is set, or no memory. */
char *rt_cache_default_directory(void);

/* Opens a cache; makes its directory unless read-only. An unusable directory is reported and leaves
 * a cache in memory. `o` may be NULL. NULL: out of memory. */
rt_cache *rt_cache_open(const rt_cache_options *o);
/* Frees the cache; blobs live on. No call may be running. NULL is ignored. */
void rt_cache_close(rt_cache *c);

typedef enum {
	RT_CACHE_DISABLED,
	RT_CACHE_IN_MEMORY,
	RT_CACHE_READONLY,
	RT_CACHE_READWRITE
} rt_cache_mode;

/* What the own directory serves for: disabled by the caller or the environment, not usable, only read, or read and
 * written. Falls when writing turns out to be impossible. */
rt_cache_mode rt_cache_get_mode(const rt_cache *c);
/* The directory asked for, even where it is not used; NULL: none. */
const char *rt_cache_directory(const rt_cache *c);
/* The size bound in bytes. */
int64_t rt_cache_limit(const rt_cache *c);

/* Makes the artifact: *blob with one reference, or false with the reason kept by `user`. May use
 * the cache for other keys. */
typedef bool (*rt_cache_make)(void *user, rt_blob **blob);

/* The artifact of a key: from memory, else from disk, else made, and kept in both. `kind` names
 * what it is ("ptx", "cubin": 1 to 15 of a-z 0-9 _) and counts as a part of the key. Threads and
 * processes that ask for one key at once wait for the first; whoever waits too long makes it too.
 * The caller releases the blob. NULL: `make` failed, or `kind` is none (then `make` is not called).
 */
rt_blob *rt_cache_get_or_make(
	rt_cache *c, const rt_cache_key *key, const char *kind, rt_cache_make make, void *user);

/* The same without making: NULL where the artifact is absent. */
rt_blob *rt_cache_get(rt_cache *c, const rt_cache_key *key, const char *kind);
/* Keeps an artifact in the place of what the key had before: for what is found out and may change,
 * not for what is made of its key. False: `kind` is none. */
bool rt_cache_put(rt_cache *c, const rt_cache_key *key, const char *kind, rt_blob *blob);

/* Since rt_cache_open. */
typedef struct {
	uint64_t hits;        /* found on disk */
	uint64_t memory_hits; /* found in memory */
	uint64_t misses;      /* made */
	uint64_t stores;      /* written to disk */
	uint64_t not_stored;  /* could not be written */
	uint64_t damaged;     /* entries that failed a check */
	uint64_t evicted;     /* removed for the size bound */
	uint64_t waits;       /* calls that waited for another maker */
	uint64_t gave_up;     /* of these, in vain */
	uint64_t wait_ns, make_ns, load_ns, store_ns;
} rt_cache_stats;

void rt_cache_get_stats(const rt_cache *c, rt_cache_stats *s);

/* --- sweep.c --- */

typedef struct {
	char key[RT_CACHE_KEY_HEX], kind[RT_CACHE_KIND];
	char producer[RT_CACHE_PRODUCER];
	const char *directory;
	bool secondary;     /* of TRIKL_CACHE_PATH: only read */
	int64_t bytes;      /* of the file */
	int64_t used;       /* last use, seconds since 1970 */
	const char *damage; /* what is wrong, NULL: nothing */
} rt_cache_entry;

typedef void (*rt_cache_visit)(void *user, const rt_cache_entry *entry);

/* Calls `visit` for each entry of each directory, ordered by name. Headers are checked; with
 * `payloads` everything is, and what is damaged in the own directory is removed unless the cache is
 * read-only. False: a directory cannot be read or memory ran out. */
bool rt_cache_each(rt_cache *c, bool payloads, rt_cache_visit visit, void *user);
/* Removes all entries of the own directory and what died writers left there, and empties the
 * memory. The number of entries removed; -1: not writable, or some could not be removed. */
int64_t rt_cache_clear(rt_cache *c);
