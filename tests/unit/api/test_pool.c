/* test_pool: every iteration runs exactly once, on a legal worker, whatever the sizes, and from
 * many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
	_Atomic int *hits; /* [items] */
	_Atomic int busy[64];
	int64_t items, grain;
	int threads;
	_Atomic int faults; /* asserts may not leave worker threads */
} loop;

static void count_hits(void *user, int64_t begin, int64_t end, int worker)
{
	loop *l = user;

	if (worker < 0 || worker >= l->threads || begin % l->grain || end - begin > l->grain ||
		end > l->items || begin >= end)
		atomic_fetch_add(&l->faults, 1);
	if (atomic_fetch_add(&l->busy[worker], 1))
		atomic_fetch_add(&l->faults, 1);
	for (int64_t i = begin; i < end; i++)
		atomic_fetch_add(&l->hits[i], 1);
	atomic_fetch_sub(&l->busy[worker], 1);
}

/* Runs one loop and counts what went wrong. */
static int run_once(rt_pool *p, int64_t items, int64_t grain)
{
	loop l = {.items = items, .grain = grain < 1 ? 1 : grain, .threads = rt_pool_threads(p)};
	int faults;

	l.hits = calloc((size_t)items + 1, sizeof *l.hits);
	rt_pool_run(p, items, grain, count_hits, &l);
	for (int64_t i = 0; i < items; i++)
		l.faults += l.hits[i] != 1;
	faults = l.faults;
	free(l.hits);
	return faults;
}

static void runs_every_iteration_once(void **state)
{
	static const int64_t sizes[] = {0, 1, 2, 3, 7, 64, 1000, 4097};
	static const int64_t grains[] = {0, 1, 3, 64, 5000};

	(void)state;
	for (int threads = 1; threads <= 5; threads++) {
		rt_pool *p = rt_pool_create(threads);

		assert_non_null(p);
		assert_int_equal(rt_pool_threads(p), threads);
		for (size_t s = 0; s < 8; s++)
			for (size_t g = 0; g < 5; g++)
				assert_int_equal(run_once(p, sizes[s], grains[g]), 0);
		rt_pool_destroy(p);
	}
}

static void negative_count_runs_nothing(void **state)
{
	rt_pool *p = rt_pool_create(2);

	(void)state;
	rt_pool_run(p, -5, 1, NULL, NULL);
	rt_pool_destroy(p);
}

static void survives_many_short_loops(void **state)
{
	rt_pool *p = rt_pool_create(4);

	(void)state;
	for (int n = 0; n < 3000; n++)
		assert_int_equal(run_once(p, 5 + n % 7, 1), 0);
	rt_pool_destroy(p);
}

static void *queue_loops(void *arg)
{
	intptr_t faults = 0;

	for (int n = 0; n < 300; n++)
		faults += run_once(arg, 40, 3);
	return (void *)faults;
}

static void loops_of_several_threads_queue_up(void **state)
{
	rt_pool *p = rt_pool_create(3);
	pthread_t thread[4];

	(void)state;
	for (int t = 0; t < 4; t++)
		assert_int_equal(pthread_create(&thread[t], NULL, queue_loops, p), 0);
	for (int t = 0; t < 4; t++) {
		void *faults;

		pthread_join(thread[t], &faults);
		assert_int_equal((intptr_t)faults, 0);
	}
	rt_pool_destroy(p);
}

static void add_plain(void *user, int64_t begin, int64_t end, int worker)
{
	int64_t *sum = user;

	for (int64_t i = begin; i < end; i++)
		sum[worker] += i;
}

/* Plain, unsynchronised writes of the bodies are visible after the loop (the sanitizer checks the
 * ordering). */
static void results_are_visible_to_the_caller(void **state)
{
	rt_pool *p = rt_pool_create(4);

	(void)state;
	for (int n = 0; n < 200; n++) {
		int64_t sum[4] = {0};

		rt_pool_run(p, 1000, 10, add_plain, sum);
		assert_int_equal(sum[0] + sum[1] + sum[2] + sum[3], 999 * 500);
	}
	rt_pool_destroy(p);
}

static void meet(void *user, int64_t begin, int64_t end, int worker)
{
	(void)begin, (void)end, (void)worker;
	pthread_barrier_wait(user);
}

/* As many chunks as workers, each waiting for all others: finishes only when every worker takes
 * one. */
static void all_workers_take_part(void **state)
{
	rt_pool *p = rt_pool_create(4);
	pthread_barrier_t barrier;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 4);
	for (int n = 0; n < 100; n++) {
		rt_pool_run(p, 4, 1, meet, &barrier);
		if (n % 10 == 0)
			usleep(300); /* let the workers fall asleep */
	}
	pthread_barrier_destroy(&barrier);
	rt_pool_destroy(p);
}

static void default_size_follows_the_affinity_mask(void **state)
{
	cpu_set_t before, one;
	rt_pool *p;
	int cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	assert_int_equal(rt_pool_cores(), CPU_COUNT(&before));
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	p = rt_pool_create(0);
	assert_int_equal(rt_pool_threads(p), 1);
	rt_pool_destroy(p);
	sched_setaffinity(0, sizeof before, &before);
}

static void absurd_size_is_refused(void **state)
{
	(void)state;
	assert_null(rt_pool_create(1 << 30));
	rt_pool_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_every_iteration_once),
		cmocka_unit_test(negative_count_runs_nothing),
		cmocka_unit_test(survives_many_short_loops),
		cmocka_unit_test(loops_of_several_threads_queue_up),
		cmocka_unit_test(results_are_visible_to_the_caller),
		cmocka_unit_test(all_workers_take_part),
		cmocka_unit_test(default_size_follows_the_affinity_mask),
		cmocka_unit_test(absurd_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
