/* test_race: many threads and processes on one cache. */
#include "fixture.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 12
#define THREADS 6

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A fixture whose counters all children share; the original is gone. */
static fixture *shared_fixture(void)
{
	fixture *f = fixture_create();
	fixture *shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	memcpy(shared, f, sizeof *f);
	free(f);
	return shared;
}

static void shared_destroy(fixture *f)
{
	fixture *copy = malloc(sizeof *copy);
	memcpy(copy, f, sizeof *copy);
	munmap(f, sizeof *f);
	fixture_destroy(copy);
}

typedef struct {
	fixture *f;
	rt_cache *c;
	int number, wrong;
} thread_work;

static void *thread_body(void *arg)
{
	thread_work *w = arg;
	w->wrong = !get(w->f, w->c, w->number, NULL);
	return NULL;
}

/* Threads that all want `number`; the count of wrong answers. */
static int many_threads(fixture *f, rt_cache *c, int number)
{
	pthread_t thread[THREADS];
	thread_work work[THREADS];
	int wrong = 0;

	for (int t = 0; t < THREADS; t++) {
		work[t] = (thread_work){f, c, number, 0};
		if (pthread_create(&thread[t], NULL, thread_body, &work[t]) != 0)
			abort();
	}
	for (int t = 0; t < THREADS; t++) {
		pthread_join(thread[t], NULL);
		wrong += work[t].wrong;
	}
	return wrong;
}

static void test_threads_on_one_cold_key(void **state)
{
	fixture *f = fixture_create();
	rt_cache_stats s;
	(void)state;

	f->make_ms = 50;
	rt_cache *c = fixture_open(f);
	double start = seconds();
	assert_int_equal(many_threads(f, c, 5), 0);
	assert_true(seconds() - start < 5);
	rt_cache_get_stats(c, &s);
	rt_cache_close(c);
	assert_int_equal(f->made, 1);
	assert_true(s.misses == 1 && s.memory_hits == THREADS - 1 && s.stores == 1);
	assert_true(s.waits == 0 || s.wait_ns > 0);
	assert_int_equal(fixture_notes(f), 0);
	fixture_destroy(f);
}

static int process_body(void *user)
{
	fixture *f = user;
	rt_cache_options o = fixture_options(f);
	rt_cache *c = rt_cache_open(&o);

	REQUIRE(many_threads(f, c, 5) == 0);
	rt_cache_close(c);
	return 0;
}

static void test_processes_and_threads_on_one_cold_key(void **state)
{
	fixture *f = shared_fixture();
	pid_t pid[PROCESSES];
	(void)state;

	for (int round = 0; round < 5; round++) {
		f->make_ms = round == 0 ? 300 : 20 * round;
		f->made = 0;
		for (int p = 0; p < PROCESSES; p++)
			pid[p] = child_start(process_body, f);
		for (int p = 0; p < PROCESSES; p++)
			assert_int_equal(child_wait(pid[p]), 0);
		assert_int_equal(f->made, 1);
		assert_int_equal(count_files(f->dir, NULL), 1);
		assert_int_equal(unlink(entry_path(f, 5)), 0);
	}
	assert_int_equal(fixture_notes(f), 0);
	shared_destroy(f);
}

/* Each thread's maker fails: nobody hangs, everybody hears it. */
static void test_threads_whose_maker_fails(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	f->make_ms = 5;
	f->fail = true;
	rt_cache *c = fixture_open(f);
	assert_int_equal(many_threads(f, c, 5), THREADS);
	assert_int_equal(f->made, THREADS);
	f->fail = false;
	assert_int_equal(many_threads(f, c, 5), 0);
	rt_cache_close(c);
	fixture_destroy(f);
}

/* --- locks that are never released --- */

static int hold_lock(void *user)
{
	fixture *f = user;
	char path[700];

	snprintf(path, sizeof path, "%s.lock", entry_path(f, 5));
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
	REQUIRE(fd >= 0 && flock(fd, LOCK_EX) == 0);
	f->made = 1000;
	pause();
	return 0;
}

static void test_lock_that_is_never_released(void **state)
{
	fixture *f = shared_fixture();
	rt_cache_options o = fixture_options(f);
	rt_cache_stats s;
	bool made;
	(void)state;

	assert_int_equal(mkdir(f->dir, 0700), 0);
	pid_t holder = child_start(hold_lock, f);
	while (f->made != 1000)
		usleep(1000);
	o.wait_ms = 300;
	rt_cache *c = rt_cache_open(&o);
	double start = seconds();
	assert_true(get(f, c, 5, &made) && made);
	assert_true(seconds() - start >= 0.3 && seconds() - start < 5);
	rt_cache_get_stats(c, &s);
	assert_true(s.waits == 1 && s.gave_up == 1 && s.wait_ns >= 300000000 && s.stores == 1);
	assert_int_equal(f->notes[RT_CACHE_GAVE_UP], 1);
	assert_int_equal(fixture_notes(f), 1);
	rt_cache_close(c);

	/* The next process finds the entry and does not wait. */
	start = seconds();
	assert_true(get_once(f, 5, &made) && !made);
	assert_true(seconds() - start < 0.25);
	kill(holder, SIGKILL);
	assert_int_equal(child_wait(holder), -SIGKILL);

	/* Without waiting at all. */
	unlink(entry_path(f, 5));
	o.wait_ms = -1;
	f->made = 0;
	holder = child_start(hold_lock, f);
	while (f->made != 1000)
		usleep(1000);
	c = rt_cache_open(&o);
	start = seconds();
	assert_true(get(f, c, 5, &made) && made);
	assert_true(seconds() - start < 0.25);
	rt_cache_close(c);
	kill(holder, SIGKILL);
	child_wait(holder);
	shared_destroy(f);
}

static int make_slowly(void *user)
{
	fixture *f = user;
	return get_once(f, 5, NULL) ? 0 : 1;
}

/* The maker is killed while others wait: one of them takes over at once. */
static void test_maker_that_is_killed(void **state)
{
	fixture *f = shared_fixture();
	pid_t maker, waiter[3];
	(void)state;

	f->make_ms = 8000;
	maker = child_start(make_slowly, f);
	while (f->made != 1)
		usleep(1000);
	f->make_ms = 20;
	for (int i = 0; i < 3; i++)
		waiter[i] = child_start(make_slowly, f);
	usleep(100000);
	assert_int_equal(f->made, 1);
	double start = seconds();
	kill(maker, SIGKILL);
	assert_int_equal(child_wait(maker), -SIGKILL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(child_wait(waiter[i]), 0);
	assert_true(seconds() - start < 5);
	assert_int_equal(f->made, 2);
	assert_int_equal(fixture_notes(f), 0);
	shared_destroy(f);
}

/* A maker that asks for its own key again. */
typedef struct {
	fixture *f;
	rt_cache *c;
	rt_cache_key key;
	int depth;
} recursion;

static bool make_recursively(void *user, rt_blob **blob)
{
	recursion *r = user;
	if (r->depth++ == 0)
		*blob = rt_cache_get_or_make(r->c, &r->key, "ptx", make_recursively, r);
	else
		*blob = rt_blob_copy("deep", 4);
	return *blob != NULL;
}

static void test_maker_that_asks_for_its_own_key(void **state)
{
	fixture *f = fixture_create();
	rt_cache_options o = fixture_options(f);
	(void)state;

	o.wait_ms = 50;
	rt_cache *c = rt_cache_open(&o);
	recursion r = {f, c, key_of(1), 0};
	rt_blob *b = rt_cache_get_or_make(c, &r.key, "ptx", make_recursively, &r);
	assert_memory_equal(rt_blob_data(b), "deep", 4);
	rt_blob_release(b);
	assert_true(f->notes[RT_CACHE_GAVE_UP] >= 1);
	rt_cache_close(c);
	fixture_destroy(f);
}

/* --- eviction under load --- */

static int churn(void *user)
{
	fixture *f = user;
	rt_cache_options o = fixture_options(f);
	unsigned seed = (unsigned)getpid();

	o.limit = 24 << 10;
	o.memory_limit = 1;
	rt_cache *c = rt_cache_open(&o);
	for (int i = 0; i < 400; i++) {
		seed = seed * 1103515245u + 12345u;
		REQUIRE(get(f, c, (int)(seed >> 16) % 40, NULL));
	}
	rt_cache_stats s;
	rt_cache_get_stats(c, &s);
	REQUIRE(s.evicted > 0 && s.not_stored == 0);
	REQUIRE(s.hits + s.misses + s.memory_hits == 400);
	rt_cache_close(c);
	return 0;
}

static int clear_often(void *user)
{
	fixture *f = user;
	rt_cache_options o = fixture_options(f);
	rt_cache *c = rt_cache_open(&o);

	for (int i = 0; i < 40; i++) {
		REQUIRE(rt_cache_clear(c) >= 0);
		usleep(3000);
	}
	rt_cache_close(c);
	return 0;
}

static void add_bytes(void *user, const rt_cache_entry *e)
{
	assert_null(e->damage);
	*(int64_t *)user += e->bytes;
}

static void test_eviction_under_load(void **state)
{
	fixture *f = shared_fixture();
	pid_t pid[6];
	int64_t bytes = 0;
	(void)state;

	for (int with_clear = 0; with_clear < 2; with_clear++) {
		for (int p = 0; p < 5; p++)
			pid[p] = child_start(churn, f);
		pid[5] = child_start(with_clear ? clear_often : churn, f);
		for (int p = 0; p < 6; p++)
			assert_int_equal(child_wait(pid[p]), 0);
		assert_int_equal(fixture_notes(f), 0);
	}
	rt_cache *c = fixture_open(f);
	assert_true(rt_cache_each(c, true, add_bytes, &bytes));
	rt_cache_close(c);
	/* Each writer may be one 64th and one artifact ahead of its last sweep. */
	assert_in_range(bytes, 1, (24 << 10) + 6 * ((24 << 10) / 64 + 4000));
	assert_int_equal(count_files(f->dir, "tmp."), 0);
	shared_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_on_one_cold_key),
		cmocka_unit_test(test_processes_and_threads_on_one_cold_key),
		cmocka_unit_test(test_threads_whose_maker_fails),
		cmocka_unit_test(test_lock_that_is_never_released),
		cmocka_unit_test(test_maker_that_is_killed),
		cmocka_unit_test(test_maker_that_asks_for_its_own_key),
		cmocka_unit_test(test_eviction_under_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
