/* lock.c: of several processes that miss one key, one makes the artifact and the others wait for
 * it. An advisory lock on a file beside the entry: it only saves work, so where it cannot be had or
 * is never released, the artifact is made anyway. The holder removes the file at the end: who comes
 * later finds the entry, and where there is none (it could not be stored), waiting would not help. */
#include "runtime/cache/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static const char suffix[] = ".lock";

bool lock_is_name(const char *name)
{
	char entry[NAME_SIZE];
	entry_id id;
	size_t n = strlen(name), tail = sizeof suffix - 1;

	if (n <= tail || n >= sizeof entry || strcmp(name + n - tail, suffix) != 0)
		return false;
	memcpy(entry, name, n - tail);
	entry[n - tail] = 0;
	return entry_parse_name(entry, &id);
}

static int try_lock(int fd)
{
	int failed;
	do
		failed = flock(fd, LOCK_EX | LOCK_NB);
	while (failed && errno == EINTR);
	return failed ? errno : 0;
}

static void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Polls, as flock has no time limit; looks for the entry as well, as its maker's lock may be on a
 * removed file. */
static rt_blob *wait_for(rt_cache *c, const entry_id *id, key_lock *l)
{
	int64_t start = cache_clock(), end = start + c->wait_ms * INT64_C(1000000);
	rt_blob *blob = NULL;
	int pause_ms = 1, busy;

	c->count.waits++;
	do {
		sleep_ms(pause_ms);
		pause_ms = pause_ms < 16 ? 2 * pause_ms : 20;
		busy = try_lock(l->fd);
		blob = entry_load(c, &c->own, id);
	} while (!blob && busy == EWOULDBLOCK && cache_clock() < end);
	c->count.wait_ns += (uint64_t)(cache_clock() - start);
	if (!blob && busy == EWOULDBLOCK) {
		c->count.gave_up++;
		cache_note(c, RT_CACHE_GAVE_UP,
			"another process has held '%s/%s' for more than %d ms; "
			"making the artifact without waiting",
			c->own.path, l->name, c->wait_ms);
	}
	return blob;
}

rt_blob *lock_take(rt_cache *c, const entry_id *id, key_lock *l)
{
	entry_name(id, l->name);
	strcat(l->name, suffix);
	l->fd = openat(
		c->own.fd, l->name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return NULL;
	int busy = try_lock(l->fd);
	if (busy == EWOULDBLOCK && c->wait_ms > 0)
		return wait_for(c, id, l);
	/* Somebody may have stored and left between our look and our lock. */
	return busy ? NULL : entry_load(c, &c->own, id);
}

void lock_release(rt_cache *c, key_lock *l)
{
	if (l->fd < 0)
		return;
	unlinkat(c->own.fd, l->name, 0);
	flock(l->fd, LOCK_UN); /* closing is not enough if a child process has the descriptor too */
	close(l->fd);
	l->fd = -1;
}
