/* test_cuda_launch: what a launch hands to the driver, from many threads; that it allocates
 * nothing and is quick. */
#include "fake.h"
#include "runtime/launch.h"
#include <pthread.h>
#include <time.h>

enum { THREADS = 8, ROUNDS = 2000, LIMIT_NS = 5000 };

static _Atomic int allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_realloc(old, size);
}

static const char ptx[] = ".version 8.0\n.target sm_80\n.visible .entry k()\n{ ret; }\n";

static rt_module *make(rt_cuda *cuda, unsigned shared)
{
	rt_module_source source = {
		.image = ptx, .size = sizeof ptx - 1, .kernel = "k", .shared = shared};
	rt_module *m;

	assert_int_equal(rt_module_create(cuda, &source, &m, NULL), RT_OK);
	return m;
}

static void test_arguments(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_module *m = make(cuda, 64 << 10);
	rt_launch_config c = {.grid = {7, 5, 3}, .block = {128, 2}, .shared = 64 << 10};
	struct {
		void *q;
		int64_t n;
		float scale;
	} p = {&p, 12345678901, 0.5f};
	fake_launch *last = &f.state->last;

	(void)state;
	assert_int_equal(rt_launch(m, &c, &p, sizeof p, NULL), RT_OK);
	assert_int_equal(last->grid[0] * 100 + last->grid[1] * 10 + last->grid[2], 753);
	assert_int_equal(last->block[0], 128);
	assert_int_equal(last->block[1], 2);
	assert_int_equal(last->block[2], 1);
	assert_int_equal(last->shared, 64 << 10);
	assert_int_equal(last->size, sizeof p);
	assert_memory_equal(last->parameters, &p, sizeof p);
	c.cluster[0] = 2;
	assert_int_equal(rt_launch(m, &c, &p, sizeof p, NULL), RT_OK);
	assert_int_equal(last->cluster[0] * 100 + last->cluster[1] * 10 + last->cluster[2], 211);
	assert_memory_equal(last->parameters, &p, sizeof p);
	c.cluster[0] = 1;
	assert_int_equal(rt_launch(m, &c, NULL, 0, NULL), RT_OK);
	assert_int_equal(last->size, 0);
	assert_int_equal(f.state->launches[0], 3);
	rt_module_destroy(m);
	fake_finish(&f, cuda);
}

static void test_wrong_arguments(void **state)
{
	fake f = fake_load("fake_cuda_old");
	rt_cuda *cuda = fake_open(&f);
	rt_module *m = make(cuda, 100);
	rt_launch_config good = {.grid = {1, 1, 1}, .block = {32}}, c = good;
	static char block[40000];
	rt_error err = {0};

	(void)state;
	c.shared = 101;
	expect_error(rt_launch(m, &c, NULL, 0, &err), &err, RT_ARGUMENT, "100 bytes");
	c = good;
	c.grid[1] = 65536;
	expect_error(rt_launch(m, &c, NULL, 0, &err), &err, RT_ARGUMENT, "1 x 65536 x 1");
	c = good;
	c.grid[0] = 1u << 31;
	expect_error(rt_launch(m, &c, NULL, 0, &err), &err, RT_ARGUMENT, "larger");
	expect_error(rt_launch(m, &good, block, sizeof block, &err), &err, RT_ARGUMENT, "40000");
	c = good;
	c.cluster[1] = 2;
	expect_error(rt_launch(m, &c, NULL, 0, &err), &err, RT_OLD_DRIVER, "11.8");
	c = good;
	c.device = 9;
	expect_error(rt_launch(m, &c, NULL, 0, &err), &err, RT_ARGUMENT, "no GPU 9");
	c.grid[2] = 0; /* nothing to do */
	assert_int_equal(rt_launch(m, &c, NULL, 0, &err), RT_OK);
	assert_int_equal(f.state->launches[0], 0);
	fake_fail(&f, FAKE_cuLaunchKernel, 700, 0);
	expect_error(rt_launch(m, &good, NULL, 0, &err), &err, RT_CONTEXT, "ran before");
	fake_fail(&f, FAKE_cuLaunchKernel, 701, 0);
	expect_error(rt_launch(m, &good, NULL, 0, &err), &err, RT_RESOURCES, "grid 1 x 1 x 1");
	rt_module_destroy(m);
	fake_finish(&f, cuda);
}

/* --- threads --- */

typedef struct {
	fake *f;
	rt_cuda *cuda;
	rt_module *module;
	int number;
	_Atomic int *failures;
} worker;

static void *launch_many(void *arg)
{
	worker *w = arg;
	int device = w->number % 3;
	cu_context own = w->number % 2 ? &w->f->state->context[FAKE_DEVICES + w->number] : NULL;
	rt_launch_config c = {.device = device, .grid = {1, 1, 1}, .block = {32}};

	w->f->set_current(own);
	for (int k = 0; k < ROUNDS; k++)
		if (rt_launch(w->module, &c, &k, sizeof k, NULL))
			atomic_fetch_add(w->failures, 1);
	if (w->f->current() != own)
		atomic_fetch_add(w->failures, 1);
	return NULL;
}

static void test_threads(void **state)
{
	const char *const builds[] = {"fake_cuda", "fake_cuda_old"};

	(void)state;
	for (int b = 0; b < 2; b++) {
		fake f = fake_load(builds[b]);
		rt_cuda *cuda;
		rt_module *m;
		pthread_t thread[THREADS];
		worker w[THREADS];
		_Atomic int failures = 0;
		int total = 0;

		f.state->devices = 3;
		cuda = fake_open(&f);
		m = make(cuda, 50 << 10);
		for (int t = 0; t < THREADS; t++) {
			cu_context c = &f.state->context[FAKE_DEVICES + t];

			*c = (struct CUctx_st){
				.device = t % 3, .alive = true, .id = 1000 + (uint64_t)t};
			w[t] = (worker){&f, cuda, m, t, &failures};
			pthread_create(&thread[t], NULL, launch_many, &w[t]);
		}
		for (int t = 0; t < THREADS; t++)
			pthread_join(thread[t], NULL);
		assert_int_equal(failures, 0);
		for (int d = 0; d < 3; d++)
			total += f.state->launches[d];
		assert_int_equal(total, THREADS * ROUNDS);
		/* once per context: four of the threads' own, three primary ones */
		assert_int_equal(rt_module_loads(m), 7);
		rt_module_destroy(m);
		fake_finish(&f, cuda);
	}
}

/* --- cost --- */

static double nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The quickest of several batches, in nanoseconds a launch. */
static double time_launches(rt_module *m, const rt_launch_config *c)
{
	double best = 1e18;
	char parameters[200] = {0};

	for (int batch = 0; batch < 20; batch++) {
		double start = nanoseconds(), each;

		for (int k = 0; k < 1000; k++)
			assert_int_equal(
				rt_launch(m, c, parameters, sizeof parameters, NULL), RT_OK);
		each = (nanoseconds() - start) / 1000;
		if (each < best)
			best = each;
	}
	return best;
}

static void test_cost(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_module *m = make(cuda, 0);
	rt_launch_config c = {.grid = {1, 1, 1}, .block = {32}};
	cu_context own = f.context_create(0);
	int before;

	(void)state;
	for (int k = 0; k < 2; k++) { /* without a current context, and with one */
		double each;

		f.set_current(k ? own : NULL);
		assert_int_equal(rt_module_prepare(m, 0, NULL), RT_OK);
		before = allocations;
		memset((void *)f.state->calls, 0, sizeof f.state->calls);
		each = time_launches(m, &c);
		print_message(
			"launch %s a current context: %.0f ns\n", k ? "with" : "without", each);
		assert_true(each < LIMIT_NS);
		assert_int_equal(allocations, before);
		assert_int_equal(f.state->calls[FAKE_cuStreamSynchronize], 0);
		assert_int_equal(f.state->calls[FAKE_cuStreamIsCapturing], 0);
		assert_int_equal(f.state->calls[FAKE_cuCtxPushCurrent], k ? 0 : 20000);
	}
	rt_module_destroy(m);
	fake_finish(&f, cuda);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_wrong_arguments), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_cost)};

	return cmocka_run_group_tests_name("launch", tests, NULL, NULL);
}
