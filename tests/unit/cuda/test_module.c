/* test_module: loading code into contexts: libraries and modules, logs, several devices, refusals,
 * unloading. */
#include "fake.h"
#include "runtime/launch.h"
#include <stdlib.h>

static const char ptx[] = ".version 8.0\n.target sm_80\n.visible .entry k()\n{ ret; }\n";

static rt_module *make(rt_cuda *cuda, const char *image, const char *kernel, unsigned shared)
{
	rt_module_source source = {
		.image = image, .size = strlen(image), .kernel = kernel, .shared = shared};
	rt_error err = {0};
	rt_module *m;

	if (rt_module_create(cuda, &source, &m, &err))
		fail_msg("%s", err.message);
	return m;
}

static rt_status launch(rt_module *m, int device, cu_stream stream, rt_error *err)
{
	rt_launch_config c = {.device = device, .stream = stream, .grid = {1, 1, 1}, .block = {32}};

	return rt_launch(m, &c, NULL, 0, err);
}

static const char *const builds[] = {"fake_cuda", "fake_cuda_v1", "fake_cuda_old"};

static void test_load_once(void **state)
{
	(void)state;
	for (int b = 0; b < 3; b++) {
		fake f = fake_load(builds[b]);
		rt_cuda *cuda = fake_open(&f);
		rt_module *m = make(cuda, ptx, "k", 0);
		char *log;

		assert_int_equal(rt_module_loads(m), 0);
		assert_int_equal(rt_module_prepare(m, 0, NULL), RT_OK);
		assert_int_equal(rt_module_prepare(m, 0, NULL), RT_OK);
		assert_int_equal(launch(m, 0, NULL, NULL), RT_OK);
		assert_int_equal(rt_module_loads(m), 1);
		assert_int_equal(rt_module_prepare(m, 1, NULL), RT_OK);
		assert_int_equal(launch(m, 1, NULL, NULL), RT_OK);
		assert_int_equal(rt_module_loads(m), 2);
		assert_int_equal(f.state->live_libraries, b == 0 ? 1 : 0);
		assert_int_equal(f.state->live_modules, b == 0 ? 0 : 2);
		assert_null(f.current());
		log = rt_module_log(m);
		assert_non_null(strstr(log, "Used 42 registers"));
		free(log);
		rt_module_destroy(m);
		fake_finish(&f, cuda);
	}
}

/* Libraries that compile when a kernel is first asked for write to the log after the load has
 * returned. */
static void test_lazy_library(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_module *m = make(cuda, ptx, "k", 0),
		  *bad = make(cuda, ".version reject .entry k", "k", 0);
	rt_error err = {0};
	char *log;

	(void)state;
	f.state->lazy = true;
	assert_int_equal(rt_module_prepare(m, 0, NULL), RT_OK);
	log = rt_module_log(m);
	assert_string_equal(log, "ptxas info : Used 42 registers\n");
	free(log);
	for (int attempt = 0; attempt < 2; attempt++) {
		assert_int_equal(rt_module_prepare(bad, 0, &err), RT_REJECTED);
		assert_string_equal(err.log, "ptxas error : rejected, line 7\n");
		assert_string_equal(err.call, "cuKernelGetFunction");
		rt_error_clear(&err);
	}
	rt_module_destroy(m);
	rt_module_destroy(bad);
	fake_finish(&f, cuda);
}

static void expect_refusal(
	fake *f, rt_cuda *cuda, const char *image, rt_status status, const char *words)
{
	rt_module *m = make(cuda, image, "k", 60 << 10);
	rt_error err = {0};

	(void)f;
	expect_error(rt_module_prepare(m, 0, &err), &err, status, words);
	assert_int_equal(rt_module_loads(m), 0);
	rt_module_destroy(m);
}

static void test_refusals(void **state)
{
	(void)state;
	for (int b = 0; b < 3; b++) {
		fake f = fake_load(builds[b]);
		rt_cuda *cuda = fake_open(&f);

		expect_refusal(&f, cuda, ".version 8.0 .entry other", RT_ARGUMENT, "kernel 'k'");
		expect_refusal(&f, cuda, ".version 8.0 reject", RT_REJECTED,
			"CUDA_ERROR_INVALID_PTX (218)");
		expect_refusal(&f, cuda, ".version 8.6 .target sm_100", RT_NO_CODE, "GPU 0");
		expect_refusal(&f, cuda, "\177ELF sm_80 k", RT_NO_CODE, "(209)");
		fake_fail(&f, FAKE_cuFuncSetAttribute, 1, 0);
		expect_refusal(&f, cuda, ptx, RT_ARGUMENT, "cuFuncSetAttribute");
		fake_fail(&f, FAKE_cuFuncGetAttribute, 999, 0);
		expect_refusal(&f, cuda, ptx, RT_DRIVER, "cuFuncGetAttribute");
		fake_fail(&f, b == 0 ? FAKE_cuLibraryLoadData : FAKE_cuModuleLoadDataEx, 222, 0);
		expect_refusal(&f, cuda, ptx, RT_OLD_DRIVER, "newer than the driver");
		fake_fail(&f, b == 0 ? FAKE_cuLibraryLoadData : FAKE_cuModuleLoadDataEx, 2, 0);
		expect_refusal(&f, cuda, ptx, RT_DEVICE_MEMORY, "(2)");
		f.state->fail_function = -1;
		assert_null(f.current());
		fake_finish(&f, cuda);
	}
}

static void test_sources(void **state)
{
	static const rt_module_source bad[] = {{0}, {.image = "x", .kernel = "k"},
		{.image = ptx, .size = 10}, {.image = ptx, .size = sizeof ptx, .kernel = "k"},
		{.image = "hello, world", .size = 12, .kernel = "k"},
		{.image = ptx, .size = sizeof ptx - 1, .kernel = ""}};
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_module *m;

	(void)state;
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
		assert_int_equal(rt_module_create(cuda, &bad[k], &m, NULL), RT_ARGUMENT);
		assert_null(m);
	}
	rt_module_destroy(NULL);
	fake_finish(&f, cuda);
}

static void test_shared_memory(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_module *small = make(cuda, ptx, "k", 47 << 10), *large = make(cuda, ptx, "k", 226 << 10),
		  *huge = make(cuda, ptx, "k", 227 << 10),
		  *absurd = make(cuda, ptx, "k", UINT32_MAX);
	rt_error err = {0};

	(void)state;
	assert_int_equal(rt_module_prepare(small, 0, NULL), RT_OK); /* with 1 KiB of its own */
	assert_int_equal(f.state->calls[FAKE_cuFuncSetAttribute], 0);
	assert_int_equal(rt_module_prepare(large, 0, NULL), RT_OK);
	assert_int_equal(f.state->calls[FAKE_cuFuncSetAttribute], 1);
	expect_error(rt_module_prepare(huge, 0, &err), &err, RT_RESOURCES,
		"needs 233472 bytes of shared memory a block; GPU 0 has 232448");
	expect_error(rt_module_prepare(absurd, 0, &err), &err, RT_RESOURCES, "GPU 0 has 232448");
	rt_module_destroy(small);
	rt_module_destroy(large);
	rt_module_destroy(huge);
	rt_module_destroy(absurd);
	fake_finish(&f, cuda);
}

static void test_describe(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_module *m = make(cuda, ptx, "k", 0);
	rt_module_info info;
	rt_error err = {0};

	(void)state;
	assert_int_equal(rt_module_describe(m, 1, 256, &info, &err), RT_OK);
	assert_int_equal(info.registers, 54);
	assert_int_equal(info.shared_bytes, 1024);
	assert_int_equal(info.blocks_per_sm, 8);
	fake_fail(&f, FAKE_cuOccupancyMaxActiveBlocksPerMultiprocessor, 999, 0);
	expect_error(rt_module_describe(m, 1, 256, &info, &err), &err, RT_DRIVER, "cuOccupancy");
	expect_error(rt_module_describe(m, 7, 256, &info, &err), &err, RT_ARGUMENT, "no GPU 7");
	rt_module_destroy(m);
	fake_finish(&f, cuda);
}

/* Contexts die before the module, or are replaced by new ones at the same address. */
static void test_dead_contexts(void **state)
{
	(void)state;
	for (int b = 0; b < 3; b++) {
		fake f = fake_load(builds[b]);
		rt_cuda *cuda = fake_open(&f);
		rt_module *m = make(cuda, ptx, "k", 0);
		cu_context first = f.context_create(0), second;

		f.set_current(first);
		assert_int_equal(launch(m, RT_CURRENT, NULL, NULL), RT_OK);
		f.context_destroy(first);
		if (b == 0) { /* only drivers with context ids tell the new one from the old */
			second = f.context_create(1);
			assert_ptr_equal(first, second);
			f.set_current(second);
			assert_int_equal(launch(m, RT_CURRENT, NULL, NULL), RT_OK);
			assert_int_equal(f.state->launches[1], 1);
			assert_int_equal(rt_module_loads(m), 2);
			f.context_destroy(second);
		}
		f.set_current(NULL);
		assert_int_equal(rt_module_prepare(m, 1, NULL), RT_OK);
		rt_module_destroy(m);
		fake_finish(&f, cuda);
	}
}

static void test_capture(void **state)
{
	(void)state;
	for (int b = 0; b < 3; b++) {
		fake f = fake_load(builds[b]);
		rt_cuda *cuda = fake_open(&f);
		rt_module *m = make(cuda, ptx, "k", 0), *late = make(cuda, ptx, "k", 0);
		cu_context own = f.context_create(0);
		struct CUstream_st stream = {.context = own};
		rt_error err = {0};

		f.set_current(own);
		for (unsigned how = 1; how <= 2; how++) { /* under way, broken */
			f.capture(&stream, how);
			expect_error(
				launch(late, 0, &stream, &err), &err, RT_CAPTURE, "prepare it");
			f.capture(&stream, 0);
		}
		f.capture(&stream, 1);
		expect_error(launch(late, 0, NULL, &err), &err, RT_CAPTURE, "'k'"); /* implicit */
		assert_int_equal(launch(late, 0, &stream, NULL), RT_CAPTURE);
		f.capture(&stream, 0);
		assert_int_equal(rt_module_loads(late), 0);

		assert_int_equal(rt_module_prepare(m, 0, &err), RT_OK);
		f.capture(&stream, 1);
		assert_int_equal(launch(m, 0, &stream, &err), RT_OK);
		/* a load that somebody else's capture does not concern */
		assert_int_equal(rt_module_prepare(late, 0, &err), RT_OK);
		f.capture(&stream, 0);
		fake_fail(&f, FAKE_cuStreamIsCapturing, 400, 0);
		rt_module_destroy(late);
		late = make(cuda, ptx, "k", 0);
		expect_error(
			launch(late, 0, &stream, &err), &err, RT_DRIVER, "cuStreamIsCapturing");
		rt_module_destroy(m);
		rt_module_destroy(late);
		fake_finish(&f, cuda);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_load_once),
		cmocka_unit_test(test_lazy_library), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_sources), cmocka_unit_test(test_shared_memory),
		cmocka_unit_test(test_describe), cmocka_unit_test(test_dead_contexts),
		cmocka_unit_test(test_capture)};

	return cmocka_run_group_tests_name("module", tests, NULL, NULL);
}
