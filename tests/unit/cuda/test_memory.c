/* test_memory: device memory, streams and timers for the command line. */
#include "fake.h"
#include "runtime/memory.h"

static void test_copies(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	char in[64] = "some bytes", out[64] = "";
	size_t available, total;
	cu_deviceptr p, none;
	rt_error err = {0};
	cu_stream s;

	(void)state;
	assert_int_equal(rt_stream_create(cuda, 1, &s, &err), RT_OK);
	assert_int_equal(rt_memory_alloc(cuda, 1, sizeof in, &p, &err), RT_OK);
	assert_int_equal(rt_memory_write(cuda, 1, p, in, sizeof in, s, &err), RT_OK);
	assert_int_equal(rt_memory_read(cuda, 1, out, p, sizeof out, s, &err), RT_OK);
	assert_memory_equal(in, out, sizeof in);
	assert_int_equal(f.state->calls[FAKE_cuStreamSynchronize], 1);
	assert_int_equal(rt_memory_fill(cuda, 1, p, 7, 4, s, &err), RT_OK);
	assert_int_equal(rt_memory_read(cuda, 1, out, p, sizeof out, s, &err), RT_OK);
	assert_int_equal(out[3], 7);
	assert_int_equal(out[4], ' ');
	assert_int_equal(rt_memory_space(cuda, 1, &available, &total, &err), RT_OK);
	assert_int_equal(available + total, 3000);
	assert_int_equal(rt_memory_alloc(cuda, 0, 0, &none, &err), RT_OK);
	assert_true(none != 0);
	assert_int_equal(rt_memory_free(cuda, 0, none, &err), RT_OK);
	assert_int_equal(rt_memory_free(cuda, 0, 0, &err), RT_OK);
	assert_int_equal(rt_memory_write(cuda, 0, 0, NULL, 0, NULL, &err), RT_OK);
	assert_int_equal(rt_memory_fill(cuda, 0, 0, 0, 0, NULL, &err), RT_OK);
	assert_int_equal(rt_memory_free(cuda, 1, p, &err), RT_OK);
	assert_int_equal(rt_stream_wait(cuda, 1, s, &err), RT_OK);
	assert_int_equal(rt_stream_destroy(cuda, 1, s, &err), RT_OK);
	assert_int_equal(rt_stream_destroy(cuda, 1, NULL, &err), RT_OK);
	assert_null(f.current());
	fake_finish(&f, cuda);
}

static void test_failures(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	char byte;
	cu_deviceptr p = 1;
	rt_timer *t;
	rt_error err = {0};

	(void)state;
	expect_error(rt_memory_alloc(cuda, 0, (size_t)1 << 40, &p, &err), &err, RT_DEVICE_MEMORY,
		"1099511627776 bytes on GPU 0");
	assert_int_equal(p, 0);
	expect_error(rt_memory_alloc(cuda, 5, 1, &p, &err), &err, RT_ARGUMENT, "no GPU 5");
	fake_fail(&f, FAKE_cuStreamSynchronize, 719, 0);
	expect_error(rt_memory_read(cuda, 0, &byte, 0, 0, NULL, &err), &err, RT_CONTEXT,
		"cuStreamSynchronize");
	expect_error(rt_stream_wait(cuda, 0, NULL, &err), &err, RT_CONTEXT, "faulted");
	fake_fail(&f, FAKE_cuEventCreate, 2, 1);
	expect_error(rt_timer_create(cuda, 0, &t, &err), &err, RT_DEVICE_MEMORY, "cuEventCreate");
	assert_null(t);
	rt_timer_destroy(NULL);
	fake_finish(&f, cuda);
}

static void test_timer(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	double ms;
	rt_timer *t;
	rt_error err = {0};

	(void)state;
	assert_int_equal(rt_timer_create(cuda, 1, &t, &err), RT_OK);
	assert_int_equal(rt_timer_start(t, NULL, &err), RT_OK);
	assert_int_equal(rt_timer_stop(t, NULL, &err), RT_OK);
	assert_int_equal(rt_timer_read(t, &ms, &err), RT_OK);
	assert_true(ms > 0.5 && ms < 1.5);
	fake_fail(&f, FAKE_cuEventElapsedTime, 600, 0);
	expect_error(rt_timer_read(t, &ms, &err), &err, RT_DRIVER, "cuEventElapsedTime");
	rt_timer_destroy(t);
	fake_finish(&f, cuda);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_copies),
		cmocka_unit_test(test_failures), cmocka_unit_test(test_timer)};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
