/* test_jit: PTX compiled by the driver: the code, the log, faults of each call, what a key holds. */
#include "fake.h"
#include "runtime/jit.h"
#include "runtime/module.h"
#include <stdlib.h>

static const char ptx[] = ".version 8.0\n.target sm_80\n.visible .entry k()\n{ ret; }\n";

static void code_is_for_the_device(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_error err = {0};
	size_t size;
	void *cubin;

	(void)state;
	for (int device = 0; device < 2; device++) {
		rt_module *m;

		assert_int_equal(
			rt_jit_compile(cuda, device, ptx, sizeof ptx - 1, &cubin, &size, &err),
			RT_OK);
		assert_memory_equal(cubin, device ? "\177ELF sm_80 k" : "\177ELF sm_90 k", size);
		assert_int_equal(
			rt_module_create(cuda,
				&(rt_module_source){.image = cubin, .size = size, .kernel = "k"},
				&m, &err),
			RT_OK);
		assert_int_equal(rt_module_prepare(m, device, &err), RT_OK);
		assert_int_equal(rt_module_prepare(m, 1 - device, &err), RT_NO_CODE);
		rt_error_clear(&err);
		rt_module_destroy(m);
		free(cubin);
	}
	fake_finish(&f, cuda);
}

static void a_rejection_brings_the_log(void **state)
{
	static const char bad[] = ".version 8.0\n.target sm_80\n.entry k() reject\n";
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_error err = {0};
	size_t size = 1;
	void *cubin = &size;

	(void)state;
	assert_int_equal(
		rt_jit_compile(cuda, 0, bad, sizeof bad - 1, &cubin, &size, &err), RT_REJECTED);
	assert_non_null(strstr(err.log, "line 7"));
	assert_null(cubin);
	assert_int_equal(size, 0);
	rt_error_clear(&err);
	fake_finish(&f, cuda);
}

static void every_call_may_fail(void **state)
{
	static const int call[] = {FAKE_cuLinkCreate, FAKE_cuLinkAddData, FAKE_cuLinkComplete,
		FAKE_cuDevicePrimaryCtxRetain};
	fake f = fake_load("fake_cuda");
	rt_error err = {0};
	size_t size;
	void *cubin;

	(void)state;
	for (size_t n = 0; n < sizeof call / sizeof *call; n++) {
		rt_cuda *cuda = fake_open(&f);

		fake_fail(&f, call[n], 2, 0);
		expect_error(rt_jit_compile(cuda, 0, ptx, sizeof ptx - 1, &cubin, &size, &err),
			&err, RT_DEVICE_MEMORY, "failed with");
		assert_null(cubin);
		f.state->fail_function = -1;
		fake_finish(&f, cuda);
	}
}

static void a_capture_of_another_thread_is_not_disturbed(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	cu_context own = f.context_create(0);
	struct CUstream_st stream = {.context = own};
	size_t size;
	void *cubin;

	(void)state;
	f.capture(&stream, 1);
	assert_int_equal(rt_jit_compile(cuda, 0, ptx, sizeof ptx - 1, &cubin, &size, NULL), RT_OK);
	f.capture(&stream, 0);
	free(cubin);
	f.context_destroy(own);
	fake_finish(&f, cuda);
}

static void a_driver_without_a_linker_is_old(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda;
	rt_error err = {0};
	size_t size;
	void *cubin;

	(void)state;
	f.state->hidden = "cuLinkComplete";
	cuda = fake_open(&f);
	expect_error(rt_jit_compile(cuda, 0, ptx, sizeof ptx - 1, &cubin, &size, &err), &err,
		RT_OLD_DRIVER, "no linker");
	fake_finish(&f, cuda);
}

static void the_version_names_driver_and_device(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	char version[256];
	rt_error err = {0};

	(void)state;
	assert_int_equal(rt_jit_version(cuda, 1, version, &err), RT_OK);
	assert_string_equal(version, "12080 libfake_cuda.so 8.0");
	assert_int_equal(rt_jit_version(cuda, 9, version, &err), RT_ARGUMENT);
	rt_error_clear(&err);
	fake_finish(&f, cuda);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_for_the_device),
		cmocka_unit_test(a_rejection_brings_the_log),
		cmocka_unit_test(every_call_may_fail),
		cmocka_unit_test(a_capture_of_another_thread_is_not_disturbed),
		cmocka_unit_test(a_driver_without_a_linker_is_old),
		cmocka_unit_test(the_version_names_driver_and_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
