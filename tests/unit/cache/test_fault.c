/* test_fault: every system call of a writer in turn is where the process is killed, or fails. The linker sends the
 * calls of the whole program through here (--wrap). */
#include "fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CALLS(X) X(OPENAT) X(WRITE) X(FSYNC) X(RENAMEAT) X(UNLINKAT) X(FLOCK) X(FUTIMENS) X(CLOSE)
typedef enum {
#define NAME(x) CALL_##x,
	CALLS(NAME)
#undef NAME
		CALL_KINDS
} call_kind;

/* What is to happen; zero: nothing. */
static struct {
	int kill_at; /* the step before which the process dies */
	int step;
	int error; /* of all calls of this kind */
	call_kind kind;
	int write_at_most;          /* bytes a call */
	int interrupts[CALL_KINDS]; /* so many calls are interrupted first */
	fixture *intruder;          /* at the next flock, another process is faster */
	int seen[CALL_KINDS];
} plan;

static int intrude(void *user)
{
	return get_once(user, 9, NULL) ? 0 : 1;
}

static bool fails(call_kind kind)
{
	plan.seen[kind]++;
	if (plan.kill_at && ++plan.step == plan.kill_at)
		raise(SIGKILL);
	if (plan.interrupts[kind] > 0) {
		plan.interrupts[kind]--;
		errno = EINTR;
		return true;
	}
	if (kind == CALL_FLOCK && plan.intruder) {
		fixture *f = plan.intruder;
		plan.intruder = NULL;
		in_child(intrude, f);
	}
	if (plan.error && kind == plan.kind) {
		errno = plan.error;
		return true;
	}
	return false;
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fails(CALL_OPENAT) ? -1 : __real_openat(dir, path, flags, mode);
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	if (fails(CALL_WRITE))
		return -1;
	if (plan.write_at_most && size > (size_t)plan.write_at_most)
		size = (size_t)plan.write_at_most;
	return __real_write(fd, data, size);
}

#define WRAP(kind, name, parameters, arguments)                                                    \
	int __real_##name parameters;                                                              \
	int __wrap_##name parameters;                                                              \
	int __wrap_##name parameters                                                               \
	{                                                                                          \
		return fails(kind) ? -1 : __real_##name arguments;                                 \
	}

WRAP(CALL_FSYNC, fsync, (int fd), (fd))
WRAP(CALL_RENAMEAT, renameat, (int from, const char *old, int to, const char *new),
	(from, old, to, new))
WRAP(CALL_UNLINKAT, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(CALL_FLOCK, flock, (int fd, int operation), (fd, operation))
WRAP(CALL_FUTIMENS, futimens, (int fd, const struct timespec times[2]), (fd, times))

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	int failed = __real_close(fd);
	return fails(CALL_CLOSE) ? -1 : failed; /* the kernel closes even when it reports */
}

/* --- kill -9 --- */

typedef struct {
	fixture *f;
	int kill_at, number;
} victim;

static int write_and_die(void *user)
{
	victim *v = user;
	plan.write_at_most = 40;
	plan.kill_at = v->kill_at;
	return get_once(v->f, v->number, NULL) ? 0 : 1;
}

static void no_damage(void *user, const rt_cache_entry *e)
{
	(void)user;
	if (e->damage)
		fail_msg("entry %s %s", e->key, e->damage);
}

/* Kills a writer before its first, second ... call until one survives; `number` is cold, or, with `damaged`, stands
 * there damaged. */
static void kill_everywhere(int number, bool damaged)
{
	fixture *f = fixture_create();
	int points = 0, code;
	bool made;

	assert_true(get_once(f, 100, NULL));
	do {
		if (damaged)
			file_store(entry_path(f, number), "garbage", 7);
		else
			unlink(entry_path(f, number));
		code = in_child(write_and_die, &(victim){f, ++points, number});
		assert_true(code == 0 || code == -SIGKILL);
		if (!damaged || access(entry_path(f, number), F_OK) != 0) {
			rt_cache *c = fixture_open(f);
			assert_true(rt_cache_each(c, true, no_damage, NULL));
			rt_cache_close(c);
		}
		double start = (double)clock();
		assert_true(get_once(f, number, &made));
		assert_true((double)clock() - start < 2 * CLOCKS_PER_SEC);
		assert_true(get_once(f, number, &made) && !made);
		assert_true(get_once(f, 100, &made) && !made);
	} while (code != 0);
	assert_int_equal(f->notes[RT_CACHE_NOT_STORED], 0);
	assert_int_equal(f->notes[RT_CACHE_GAVE_UP], 0);
	/* Openings, locks, at least a write for each 40 bytes, synchronising, renaming, sweeping. */
	assert_in_range(points, (HEADER + size_of(number)) / 40 + 10, 1000);
	fixture_destroy(f);
}

static void test_killed_anywhere_while_cold(void **state)
{
	(void)state;
	kill_everywhere(3, false);
}

static void test_killed_anywhere_while_replacing_damage(void **state)
{
	(void)state;
	kill_everywhere(3, true);
}

/* A real writer, killed at random moments, without any wrapping to slow it down. */
static int write_forever(void *user)
{
	fixture *f = user;
	rt_cache_options o = fixture_options(f);

	o.memory_limit = 1;
	o.limit = 16 << 10;
	rt_cache *c = rt_cache_open(&o);
	for (int i = 0;; i = (i + 1) % 50)
		REQUIRE(get(f, c, i, NULL));
}

static void test_killed_at_random(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	for (int round = 0; round < 60; round++) {
		pid_t pid = child_start(write_forever, f);
		usleep((useconds_t)(round * 7919 % 20000) + 500);
		kill(pid, SIGKILL);
		assert_int_equal(child_wait(pid), -SIGKILL);
		rt_cache *c = fixture_open(f);
		assert_true(rt_cache_each(c, true, no_damage, NULL));
		for (int n = 0; n < 50; n += 7)
			assert_true(get(f, c, n, NULL));
		rt_cache_close(c);
	}
	assert_int_equal(fixture_notes(f), 0);
	fixture_destroy(f);
}

/* --- failing calls --- */

static int run_with_fault(void *user)
{
	fixture *f = user;
	bool made;

	rt_cache_options o = fixture_options(f);
	rt_cache *c = rt_cache_open(&o);
	REQUIRE(get(f, c, 9, &made));
	REQUIRE(get(f, c, 9, &made) && !made);
	REQUIRE(get(f, c, 8, &made));
	REQUIRE(plan.seen[plan.kind] > 0);
	rt_cache_stats s;
	rt_cache_get_stats(c, &s);
	/* What could not be stored is counted, and said once. */
	REQUIRE((s.not_stored > 0) == (f->notes[RT_CACHE_NOT_STORED] > 0));
	REQUIRE(f->notes[RT_CACHE_NOT_STORED] <= 1);
	bool stores = plan.kind == CALL_WRITE || plan.kind == CALL_RENAMEAT ||
		      plan.kind == CALL_OPENAT || plan.kind == CALL_FSYNC ||
		      plan.kind == CALL_CLOSE;
	REQUIRE(!stores || s.not_stored > 0);
	rt_cache_close(c);

	/* Afterwards nothing is damaged or left over, whichever way it went. */
	plan.error = 0;
	REQUIRE(get_once(f, 9, NULL) && get_once(f, 8, NULL));
	REQUIRE(f->notes[RT_CACHE_DAMAGED] == 0);
	REQUIRE(count_files(f->dir, "tmp.") == 0 || plan.kind == CALL_UNLINKAT);
	return 0;
}

static void test_every_call_fails(void **state)
{
	static const int errors[] = {ENOSPC, EDQUOT, EIO, EROFS, EACCES, EPERM, EMFILE, ENFILE,
		ENOMEM, ENOLCK, ENOSYS, EINVAL, EFBIG, EOPNOTSUPP, ESTALE};
	(void)state;

	for (int kind = 0; kind < CALL_KINDS; kind++)
		for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
			fixture *f = fixture_create();
			plan.kind = (call_kind)kind;
			plan.error = errors[e];
			int code = in_child(run_with_fault, f);
			plan.error = 0;
			if (code != 0)
				fail_msg("call %d, %s: exit %d", kind, strerror(errors[e]), code);
			fixture_destroy(f);
		}
}

static int run_interrupted(void *user)
{
	fixture *f = user;
	bool made;

	plan.interrupts[CALL_WRITE] = plan.interrupts[CALL_FLOCK] = 10;
	plan.write_at_most = 7;
	REQUIRE(get_once(f, 9, &made) && made && get_once(f, 9, &made) && !made);
	REQUIRE(fixture_notes(f) == 0 && plan.interrupts[CALL_WRITE] == 0);
	return 0;
}

static void test_interrupted_and_short_writes(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	assert_int_equal(in_child(run_interrupted, f), 0);
	fixture_destroy(f);
}

/* Between our look and our lock, another process makes the artifact, stores it and removes its lock file. */
static int run_with_intruder(void *user)
{
	fixture *f = user;
	bool made;

	plan.intruder = f;
	REQUIRE(get_once(f, 9, &made) && !made && !plan.intruder);
	return 0;
}

static void test_entry_that_appears_before_the_lock(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	assert_int_equal(in_child(run_with_intruder, f), 0);
	fixture_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_anywhere_while_cold),
		cmocka_unit_test(test_killed_anywhere_while_replacing_damage),
		cmocka_unit_test(test_killed_at_random),
		cmocka_unit_test(test_every_call_fails),
		cmocka_unit_test(test_interrupted_and_short_writes),
		cmocka_unit_test(test_entry_that_appears_before_the_lock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
