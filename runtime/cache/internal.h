/* internal.h: what the files of the cache share. Everything on disk goes through a directory's
 * descriptor, so that a path that changes behind our back leads nowhere else. */
#pragma once
#include "runtime/cache.h"
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define NAME_SIZE (RT_CACHE_KEY_HEX + RT_CACHE_KIND + 8) /* KEY.KIND.lock */

typedef struct {
	rt_cache_key key;
	char kind[RT_CACHE_KIND];
} entry_id;

/* A directory in use. */
typedef struct {
	int fd;
	char *path;
	bool secondary;
} cache_dir;

typedef struct memory_node memory_node;

/* Guarded by rt_cache.lock. */
typedef struct {
	memory_node *bucket[256];
	memory_node *newest, *oldest; /* ready ones, by last use */
	int64_t bytes, limit;
} memory_table;

typedef struct {
	_Atomic uint64_t hits, memory_hits, misses, stores, not_stored, damaged, evicted, waits,
		gave_up;
	_Atomic uint64_t wait_ns, make_ns, load_ns, store_ns;
} counters;

struct rt_cache {
	char *directory; /* as asked for */
	char producer[RT_CACHE_PRODUCER];
	cache_dir own; /* fd -1: not used */
	cache_dir *secondary;
	int secondaries;
	bool disabled;
	_Atomic bool writable;
	int64_t limit;
	int wait_ms;
	rt_cache_report report;
	void *user;
	_Atomic unsigned reported; /* bits: not_stored reasons said once */

	pthread_mutex_t lock;
	pthread_cond_t made;
	memory_table memory;

	_Atomic int64_t unswept; /* bytes stored since the last sweep; starts at `limit` */
	counters count;
};

/* --- cache.c --- */

void cache_note(rt_cache *c, rt_cache_event event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int64_t cache_clock(void);

/* --- settings.c --- */

/* Whether a variable is set to something but 0. */
bool setting_on(const char *name);
/* "512M", "2G", bytes; false: not a size. */
bool setting_size(const char *text, int64_t *bytes);

/* --- directory.c --- */

/* Opens (and with `make` creates) the directory of the cache; reports and leaves fd -1 when that is
 * impossible or unsafe. */
void directory_open(rt_cache *c, const char *path, bool make);
/* Opens the read-only directories of `list`, separated by colons. */
void directory_open_secondaries(rt_cache *c, const char *list);
/* Whether a file or directory of this owner and mode can be trusted: NULL, or why not. `why` is of
 * size 80. */
const char *directory_distrust(const struct stat *st, bool secondary, char *why);

/* --- memory.c: all under rt_cache.lock --- */

struct memory_node {
	entry_id id;
	rt_blob *blob; /* NULL: being made */
	memory_node *chain, *newer, *older;
};

memory_node *memory_find(memory_table *m, const entry_id *id);
/* A node without blob; NULL: out of memory. */
memory_node *memory_add(memory_table *m, const entry_id *id);
/* Gives a node its blob (one reference more) and makes room for it. */
void memory_fill(memory_table *m, memory_node *n, rt_blob *blob);
void memory_touch(memory_table *m, memory_node *n);
void memory_remove(memory_table *m, memory_node *n);
/* Drops what is ready. */
void memory_clear(memory_table *m);

/* --- entry.c --- */

#define HEADER_SIZE 192

/* KEY.KIND */
void entry_name(const entry_id *id, char name[NAME_SIZE]);
/* False: not a kind. */
bool entry_set_kind(entry_id *id, const char *kind);
/* The reverse of entry_name; false: no entry's name. */
bool entry_parse_name(const char *name, entry_id *id);
/* Reads and checks one entry; NULL: absent, unreadable or damaged, which is counted, reported and
 * removed. */
rt_blob *entry_load(rt_cache *c, const cache_dir *d, const entry_id *id);
/* Checks one entry; with `payload`, damage is also reported and removed. False: there is none. */
bool entry_inspect(
	rt_cache *c, const cache_dir *d, const entry_id *id, bool payload, rt_cache_entry *e);
/* Writes one entry, or reports why not. */
void entry_store(rt_cache *c, const entry_id *id, rt_blob *blob);
bool entry_is_temporary(const char *name);

/* --- lock.c --- */

/* -1: not held. */
typedef struct {
	int fd;
	char name[NAME_SIZE];
} key_lock;

/* Waits until this process may make the artifact, or somebody else has made it: then the blob is
 * returned. */
rt_blob *lock_take(rt_cache *c, const entry_id *id, key_lock *l);
void lock_release(rt_cache *c, key_lock *l);
bool lock_is_name(const char *name);

/* --- sweep.c --- */

/* Counts `bytes` newly written; removes the entries least recently used when there may be too many.
 */
void sweep_after_store(rt_cache *c, int64_t bytes);
