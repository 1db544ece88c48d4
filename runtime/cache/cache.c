/* cache.c: opening, and the way of a key: memory, disk, other makers, make, publish, store. */
#include "runtime/cache/internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_LIMIT (INT64_C(1) << 30)
#define MAX_LIMIT (INT64_C(1) << 60) /* sums of a few cannot overflow */
#define DEFAULT_MEMORY_LIMIT (INT64_C(1) << 28)
#define DEFAULT_WAIT_MS 10000

void cache_note(rt_cache *c, rt_cache_event event, const char *fmt, ...)
{
	char text[PATH_MAX + 512];
	va_list ap;

	if (!c->report)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->report(c->user, event, text);
}

int64_t cache_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* --- opening --- */

static int64_t size_bound(rt_cache *c, int64_t asked)
{
	const char *text = secure_getenv("TRIKL_CACHE_SIZE");
	int64_t bytes;

	if (asked > 0)
		return asked < MAX_LIMIT ? asked : MAX_LIMIT;
	if (!text || !*text)
		return DEFAULT_LIMIT;
	if (setting_size(text, &bytes))
		return bytes < MAX_LIMIT ? bytes : MAX_LIMIT;
	cache_note(c, RT_CACHE_BAD_SETTING,
		"TRIKL_CACHE_SIZE is '%s', must be a number of bytes like 4096, 512M or 2G; using "
		"1G",
		text);
	return DEFAULT_LIMIT;
}

static void open_directories(rt_cache *c, const rt_cache_options *o)
{
	const char *path = secure_getenv("TRIKL_CACHE_PATH");

	c->directory =
		o->directory && *o->directory ? strdup(o->directory) : rt_cache_default_directory();
	c->disabled = o->disabled || setting_on("TRIKL_CACHE_DISABLE");
	if (c->disabled)
		return;
	bool readonly = o->readonly || setting_on("TRIKL_CACHE_READONLY") || c->limit == 0;
	if (c->directory)
		directory_open(c, c->directory, !readonly);
	else
		cache_note(c, RT_CACHE_NO_DIRECTORY,
			"no cache directory: neither TRIKL_CACHE_DIR, XDG_CACHE_HOME nor HOME "
			"names an absolute path; "
			"the cache is in memory only");
	c->writable = c->own.fd >= 0 && !readonly;
	if (path)
		directory_open_secondaries(c, path);
}

static void locks_create(rt_cache *c)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->made, &attr);
	pthread_condattr_destroy(&attr);
}

rt_cache *rt_cache_open(const rt_cache_options *o)
{
	static const rt_cache_options defaults;
	rt_cache *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	o = o ? o : &defaults;
	locks_create(c);
	c->own.fd = -1;
	c->report = o->report;
	c->user = o->user;
	c->wait_ms = o->wait_ms ? o->wait_ms : DEFAULT_WAIT_MS;
	c->limit = size_bound(c, o->limit);
	c->unswept = c->limit;
	c->memory.limit = o->memory_limit > 0 ? o->memory_limit : DEFAULT_MEMORY_LIMIT;
	snprintf(c->producer, sizeof c->producer, "%s", o->producer ? o->producer : "");
	open_directories(c, o);
	return c;
}

void rt_cache_close(rt_cache *c)
{
	if (!c)
		return;
	memory_clear(&c->memory);
	for (int i = 0; i < c->secondaries; i++) {
		close(c->secondary[i].fd);
		free(c->secondary[i].path);
	}
	free(c->secondary);
	if (c->own.fd >= 0)
		close(c->own.fd);
	free(c->own.path);
	free(c->directory);
	pthread_cond_destroy(&c->made);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

rt_cache_mode rt_cache_get_mode(const rt_cache *c)
{
	if (c->disabled)
		return RT_CACHE_DISABLED;
	if (c->own.fd < 0)
		return RT_CACHE_IN_MEMORY;
	return c->writable ? RT_CACHE_READWRITE : RT_CACHE_READONLY;
}

const char *rt_cache_directory(const rt_cache *c)
{
	return c->directory;
}

int64_t rt_cache_limit(const rt_cache *c)
{
	return c->limit;
}

void rt_cache_get_stats(const rt_cache *c, rt_cache_stats *s)
{
	const counters *n = &c->count;

	*s = (rt_cache_stats){
		.hits = n->hits,
		.memory_hits = n->memory_hits,
		.misses = n->misses,
		.stores = n->stores,
		.not_stored = n->not_stored,
		.damaged = n->damaged,
		.evicted = n->evicted,
		.waits = n->waits,
		.gave_up = n->gave_up,
		.wait_ns = n->wait_ns,
		.make_ns = n->make_ns,
		.load_ns = n->load_ns,
		.store_ns = n->store_ns,
	};
}

/* --- the threads of this process --- */

/* Waits until the node's maker is done; false: for too long. Under the lock. */
static bool wait_for_thread(rt_cache *c, const entry_id *id)
{
	int64_t start = cache_clock(), end = start + c->wait_ms * INT64_C(1000000);
	struct timespec until = {end / 1000000000, end % 1000000000};
	memory_node *n;
	int failed = c->wait_ms > 0 ? 0 : ETIMEDOUT;

	c->count.waits++;
	while ((n = memory_find(&c->memory, id)) && !n->blob && !failed)
		failed = pthread_cond_timedwait(&c->made, &c->lock, &until);
	c->count.wait_ns += (uint64_t)(cache_clock() - start);
	if (!n || n->blob)
		return true;
	c->count.gave_up++;
	return false;
}

/* The blob from memory, or NULL: this thread is to get it. `promised`: others wait for it to do so.
 */
static rt_blob *claim(rt_cache *c, const entry_id *id, bool *promised)
{
	rt_blob *blob = NULL;
	memory_node *n;
	bool in_vain;

	*promised = false;
	pthread_mutex_lock(&c->lock);
	n = memory_find(&c->memory, id);
	in_vain = n && !n->blob && !wait_for_thread(c, id);
	n = memory_find(&c->memory, id);
	if (n && n->blob) {
		memory_touch(&c->memory, n);
		blob = rt_blob_retain(n->blob);
	} else if (!n) {
		*promised = memory_add(&c->memory, id) != NULL;
	}
	pthread_mutex_unlock(&c->lock);
	if (in_vain && c->wait_ms > 0)
		cache_note(c, RT_CACHE_GAVE_UP,
			"another thread has been making an artifact for more than %d ms; making it "
			"without waiting",
			c->wait_ms);
	return blob;
}

/* Hands the blob to the waiting threads; NULL: there is none, one of them is to make it. */
static void publish(rt_cache *c, const entry_id *id, bool promised, rt_blob *blob)
{
	pthread_mutex_lock(&c->lock);
	memory_node *n = memory_find(&c->memory, id);
	if (blob && !n)
		n = memory_add(&c->memory, id);
	if (n && !n->blob) {
		if (blob)
			memory_fill(&c->memory, n, blob);
		else if (promised)
			memory_remove(&c->memory, n);
	}
	pthread_cond_broadcast(&c->made);
	pthread_mutex_unlock(&c->lock);
}

/* --- the way of a key --- */

static rt_blob *load(rt_cache *c, const entry_id *id)
{
	int64_t start = cache_clock();
	rt_blob *blob = c->own.fd >= 0 ? entry_load(c, &c->own, id) : NULL;

	for (int i = 0; !blob && i < c->secondaries; i++)
		blob = entry_load(c, &c->secondary[i], id);
	c->count.load_ns += (uint64_t)(cache_clock() - start);
	return blob;
}

static rt_blob *call_make(rt_cache *c, rt_cache_make make, void *user)
{
	int64_t start = cache_clock();
	rt_blob *blob = NULL;

	c->count.misses++;
	if (!make(user, &blob))
		blob = NULL;
	c->count.make_ns += (uint64_t)(cache_clock() - start);
	return blob;
}

static void store(rt_cache *c, const entry_id *id, rt_blob *blob)
{
	int64_t start = cache_clock();

	entry_store(c, id, blob);
	c->count.store_ns += (uint64_t)(cache_clock() - start);
}

rt_blob *rt_cache_get_or_make(
	rt_cache *c, const rt_cache_key *key, const char *kind, rt_cache_make make, void *user)
{
	entry_id id = {.key = *key};
	key_lock lock = {.fd = -1};
	bool promised, made;
	rt_blob *blob;

	if (!entry_set_kind(&id, kind))
		return NULL;
	blob = claim(c, &id, &promised);
	if (blob) {
		c->count.memory_hits++;
		return blob;
	}
	blob = load(c, &id);
	if (!blob && c->writable)
		blob = lock_take(c, &id, &lock);
	made = !blob;
	if (made)
		blob = call_make(c, make, user);
	else
		c->count.hits++;
	publish(c, &id, promised, blob);
	if (made && blob && c->writable)
		store(c, &id, blob);
	lock_release(c, &lock);
	return blob;
}

/* --- without making --- */

rt_blob *rt_cache_get(rt_cache *c, const rt_cache_key *key, const char *kind)
{
	entry_id id = {.key = *key};
	rt_blob *blob = NULL;
	memory_node *n;

	if (!entry_set_kind(&id, kind))
		return NULL;
	pthread_mutex_lock(&c->lock);
	n = memory_find(&c->memory, &id);
	if (n && n->blob) {
		memory_touch(&c->memory, n);
		blob = rt_blob_retain(n->blob);
	}
	pthread_mutex_unlock(&c->lock);
	if (blob) {
		c->count.memory_hits++;
		return blob;
	}
	blob = load(c, &id);
	if (blob)
		c->count.hits++;
	publish(c, &id, false, blob);
	return blob;
}

bool rt_cache_put(rt_cache *c, const rt_cache_key *key, const char *kind, rt_blob *blob)
{
	entry_id id = {.key = *key};
	memory_node *n;

	if (!entry_set_kind(&id, kind))
		return false;
	pthread_mutex_lock(&c->lock);
	n = memory_find(&c->memory, &id);
	if (n && n->blob)
		memory_remove(&c->memory, n);
	pthread_mutex_unlock(&c->lock);
	publish(c, &id, false, blob);
	if (c->writable)
		store(c, &id, blob);
	return true;
}
