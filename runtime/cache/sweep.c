/* sweep.c: all entries of a directory at once: the size bound, listing and checking, clearing.
 *
 * Several processes may sweep at once: each removes the longest unused entries of what it saw until
 * little enough is left, and an entry that is already gone counts as removed. A reader that has an
 * entry open keeps it. */
#include "runtime/cache/internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEFTOVER_SECONDS 3600 /* leftovers older than this belong to nobody */
#define CLEAR_SECONDS 60      /* the same when the user asks: no writer takes a minute */

typedef struct {
	entry_id id;
	int64_t bytes;
	struct timespec used;
} found;

typedef struct {
	found *item;
	size_t count, cap;
	int64_t bytes;
} found_list;

static bool push(found_list *l, const entry_id *id, const struct stat *st)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		found *grown = realloc(l->item, cap * sizeof *grown);
		if (!grown)
			return false;
		l->item = grown;
		l->cap = cap;
	}
	l->item[l->count++] = (found){*id, st->st_size, st->st_mtim};
	l->bytes += st->st_size;
	return true;
}

/* What died writers left: temporary and lock files that nobody has touched for that long. */
static void remove_leftover(const cache_dir *d, const char *name, int seconds)
{
	struct stat st;

	if (!entry_is_temporary(name) && !lock_is_name(name))
		return;
	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		time(NULL) - st.st_mtime > seconds)
		unlinkat(d->fd, name, 0);
}

/* The entries of a directory; removes leftovers of that age (0: none). False: it cannot be read, or
 * no memory; what was found so far is in the list. */
static bool collect(const cache_dir *d, int leftover_seconds, found_list *l)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat st;
	entry_id id;
	bool fine = true;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (fine && (errno = 0, entry = readdir(dir)) != NULL) {
		if (!entry_parse_name(entry->d_name, &id)) {
			if (leftover_seconds)
				remove_leftover(d, entry->d_name, leftover_seconds);
		} else if (fstatat(d->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			fine = push(l, &id, &st);
		}
	}
	fine = fine && errno == 0;
	closedir(dir);
	return fine;
}

static int by_use(const void *x, const void *y)
{
	const struct timespec *a = &((const found *)x)->used, *b = &((const found *)y)->used;

	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

static int by_name(const void *x, const void *y)
{
	const entry_id *a = &((const found *)x)->id, *b = &((const found *)y)->id;
	int order = memcmp(a->key.byte, b->key.byte, sizeof a->key.byte);

	return order ? order : strcmp(a->kind, b->kind);
}

static bool remove_entry(const cache_dir *d, const found *f)
{
	char name[NAME_SIZE];

	entry_name(&f->id, name);
	if (unlinkat(d->fd, name, 0) == 0)
		return true;
	return errno == ENOENT || (errno == EISDIR && unlinkat(d->fd, name, AT_REMOVEDIR) == 0);
}

/* Down to 7/8 of the bound, so that the next sweep is not due at once. */
static void evict(rt_cache *c)
{
	found_list l = {0};
	int64_t enough = c->limit - c->limit / 8;

	collect(&c->own, LEFTOVER_SECONDS, &l);
	if (l.bytes > c->limit) {
		qsort(l.item, l.count, sizeof *l.item, by_use);
		/* Not the last one: it was stored just now. */
		for (size_t i = 0; i + 1 < l.count && l.bytes > enough; i++)
			if (remove_entry(&c->own, &l.item[i])) {
				l.bytes -= l.item[i].bytes;
				c->count.evicted++;
			}
	}
	free(l.item);
}

void sweep_after_store(rt_cache *c, int64_t bytes)
{
	/* A sweep reads the whole directory: it is due at first and after each 64th part of the
	 * bound. */
	if (atomic_fetch_add(&c->unswept, bytes) + bytes <= c->limit / 64)
		return;
	atomic_store(&c->unswept, 0);
	evict(c);
}

static bool visit_directory(
	rt_cache *c, const cache_dir *d, bool payloads, rt_cache_visit visit, void *user)
{
	found_list l = {0};
	bool fine = collect(d, 0, &l);

	if (l.count > 0)
		qsort(l.item, l.count, sizeof *l.item, by_name);
	for (size_t i = 0; i < l.count; i++) {
		rt_cache_entry e;
		if (entry_inspect(c, d, &l.item[i].id, payloads, &e))
			visit(user, &e);
	}
	free(l.item);
	return fine;
}

bool rt_cache_each(rt_cache *c, bool payloads, rt_cache_visit visit, void *user)
{
	bool fine = true;

	if (c->own.fd >= 0)
		fine = visit_directory(c, &c->own, payloads, visit, user);
	for (int i = 0; i < c->secondaries; i++)
		fine = visit_directory(c, &c->secondary[i], payloads, visit, user) && fine;
	return fine;
}

int64_t rt_cache_clear(rt_cache *c)
{
	found_list l = {0};
	int64_t removed = 0;

	pthread_mutex_lock(&c->lock);
	memory_clear(&c->memory);
	pthread_mutex_unlock(&c->lock);
	if (c->own.fd < 0 || !c->writable)
		return -1;
	bool fine = collect(&c->own, CLEAR_SECONDS, &l);
	for (size_t i = 0; i < l.count; i++)
		if (remove_entry(&c->own, &l.item[i]))
			removed++;
		else
			fine = false;
	free(l.item);
	return fine ? removed : -1;
}
