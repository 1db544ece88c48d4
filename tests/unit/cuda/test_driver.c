/* test_driver: finding and binding the driver, its failures, devices, contexts. */
#include "fake.h"
#include "runtime/cuda_internal.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_absent(void **state)
{
	rt_error err = {0};
	rt_cuda *cuda = (rt_cuda *)&err;

	(void)state;
	expect_error(rt_cuda_open("/nonexistent/libcuda.so.1", &cuda, &err), &err, RT_NO_DRIVER,
		"/nonexistent/libcuda.so.1");
	assert_null(cuda);
	assert_int_equal(rt_cuda_open("/nonexistent/libcuda.so.1", &cuda, NULL), RT_NO_DRIVER);
	expect_error(rt_cuda_open("/dev/null", &cuda, &err), &err, RT_NO_DRIVER, "/dev/null");
	if (rt_cuda_open(NULL, &cuda, &err) == RT_NO_DRIVER)
		assert_non_null(strstr(err.message, "libcuda.so.1"));
	rt_error_clear(&err);
	rt_cuda_close(cuda);
	rt_cuda_close(NULL);
}

static void test_environment(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_error err = {0};
	rt_cuda *cuda;

	(void)state;
	setenv("TRIKL_LIBCUDA", f.path, 1);
	assert_int_equal(rt_cuda_open(NULL, &cuda, &err), RT_OK);
	assert_string_equal(rt_cuda_path(cuda), f.path);
	fake_finish(&f, cuda);
	setenv("TRIKL_LIBCUDA", "/nonexistent/x.so", 1);
	expect_error(rt_cuda_open(NULL, &cuda, &err), &err, RT_NO_DRIVER, "/nonexistent/x.so");
	unsetenv("TRIKL_LIBCUDA");
}

static void expect_version(const char *build, int version, bool has_id, bool has_cluster)
{
	fake f = fake_load(build);
	rt_cuda *cuda = fake_open(&f);

	assert_int_equal(rt_cuda_version(cuda), version);
	assert_int_equal(rt_cuda_devices(cuda), 2);
	assert_int_equal(cuda->api.cuCtxGetId != NULL, has_id);
	assert_int_equal(cuda->api.cuLibraryLoadData != NULL, has_id);
	assert_int_equal(cuda->api.cuLaunchKernelEx != NULL, has_cluster);
	assert_non_null(cuda->api.cuMemAlloc);
	fake_finish(&f, cuda);
}

static void test_generations(void **state)
{
	(void)state;
	expect_version("fake_cuda", 12080, true, true);
	expect_version("fake_cuda_v1", 11080, false, true);
	expect_version("fake_cuda_old", 11020, false, false);
}

static void expect_open(fake *f, rt_status status, const char *words)
{
	rt_error err = {0};
	rt_cuda *cuda;

	expect_error(rt_cuda_open(f->path, &cuda, &err), &err, status, words);
	assert_null(cuda);
	f->reset();
}

static void test_failures(void **state)
{
	fake f = fake_load("fake_cuda");

	(void)state;
	f.state->hidden = "cuLaunchKernel";
	expect_open(&f, RT_OLD_DRIVER, "cuLaunchKernel");
	f.state->hidden = "cuMemAlloc";
	expect_open(&f, RT_OLD_DRIVER, "cuMemAlloc_v2");
	fake_fail(&f, FAKE_cuInit, 100, 0);
	expect_open(&f, RT_NO_DEVICE, "cuInit failed with CUDA_ERROR_OF_THE_TEST (100), a desc");
	fake_fail(&f, FAKE_cuInit, 803, 0);
	expect_open(&f, RT_NO_DRIVER, "reboot or reload");
	fake_fail(&f, FAKE_cuInit, 34, 0);
	expect_open(&f, RT_NO_DRIVER, "stub");
	fake_fail(&f, FAKE_cuInit, 1234, 0);
	expect_open(&f, RT_DRIVER, "an unknown error (1234), no description");
	fake_fail(&f, FAKE_cuInit, 3, 0);
	expect_open(&f, RT_DRIVER, "(3)");
	f.state->version = 10020;
	expect_open(&f, RT_OLD_DRIVER, "cuDevicePrimaryCtxRelease_v2");
	f.state->devices = 0;
	expect_open(&f, RT_NO_DEVICE, "no GPU");
	fake_fail(&f, FAKE_cuDeviceGetCount, 999, 0);
	expect_open(&f, RT_DRIVER, "cuDeviceGetCount");
	fake_fail(&f, FAKE_cuDeviceGet, 101, 1);
	expect_open(&f, RT_ARGUMENT, "GPU 1");
	fake_fail(&f, FAKE_cuDriverGetVersion, 999, 0);
	expect_open(&f, RT_DRIVER, "cuDriverGetVersion");

	f = fake_load("fake_cuda_old");
	f.state->version = 10020;
	expect_open(&f, RT_OLD_DRIVER, "CUDA 10.2");
}

static void test_device(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_device_info info;
	rt_error err = {0};

	(void)state;
	assert_int_equal(rt_cuda_device(cuda, 1, &info, &err), RT_OK);
	assert_string_equal(info.name, "Fake 1");
	assert_int_equal(info.ordinal, 1);
	assert_int_equal(info.major, 8);
	assert_int_equal(info.sms, 1016);
	assert_int_equal(info.shared_block, 99 << 10);
	assert_int_equal(info.clock_khz, 0);
	assert_int_equal(info.memory_bytes, (uint64_t)2 << 30);
	assert_int_equal(info.uuid[15], 11);
	assert_true(info.ecc);
	expect_error(rt_cuda_device(cuda, 2, &info, &err), &err, RT_ARGUMENT, "no GPU 2");
	expect_error(rt_cuda_device(cuda, -1, &info, &err), &err, RT_ARGUMENT, "no GPU -1");
	fake_fail(&f, FAKE_cuDeviceGetAttribute, 999, 2);
	expect_error(
		rt_cuda_device(cuda, 0, &info, &err), &err, RT_DRIVER, "attribute 16 of GPU 0");
	fake_fail(&f, FAKE_cuDeviceGetName, 999, 0);
	expect_error(rt_cuda_device(cuda, 0, &info, &err), &err, RT_DRIVER, "cuDeviceGetName");
	fake_finish(&f, cuda);
}

/* --- contexts --- */

static void expect_scope(rt_cuda *cuda, int device, cu_context context, bool pushed)
{
	rt_error err = {0};
	rt_scope scope;

	if (rt_scope_enter(cuda, device, &scope, &err))
		fail_msg("%s", err.message);
	assert_ptr_equal(scope.context, context);
	assert_int_equal(scope.device, context->device);
	assert_int_equal(scope.pushed, pushed);
	rt_scope_leave(cuda, &scope);
}

static void test_contexts(void **state)
{
	const char *const builds[] = {"fake_cuda", "fake_cuda_old"};

	(void)state;
	for (int b = 0; b < 2; b++) {
		fake f = fake_load(builds[b]);
		rt_cuda *cuda = fake_open(&f);
		cu_context own = f.context_create(1), *primary = &(cu_context){NULL};
		int device;

		*primary = &f.state->context[0];
		expect_scope(cuda, RT_CURRENT, *primary, true); /* none current: GPU 0 */
		assert_null(f.current());
		expect_scope(cuda, 0, *primary, true);
		assert_int_equal(f.state->context[0].retained, 1);
		assert_int_equal(f.state->calls[FAKE_cuDevicePrimaryCtxRetain], 1);
		f.set_current(own);
		expect_scope(cuda, RT_CURRENT, own, false);
		expect_scope(cuda, 1, own, false);
		assert_int_equal(rt_cuda_current(cuda, &device, NULL), RT_OK);
		assert_int_equal(device, 1);
		expect_scope(cuda, 0, *primary, true); /* the current one is of another GPU */
		assert_ptr_equal(f.current(), own);
		f.set_current(NULL);
		assert_int_equal(rt_cuda_current(cuda, &device, NULL), RT_OK);
		assert_int_equal(device, 0);
		fake_finish(&f, cuda);
	}
}

static void test_lost_contexts(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	cu_context own = f.context_create(1);
	rt_error err = {0};
	rt_scope scope;
	int device;

	(void)state;
	expect_scope(cuda, 0, &f.state->context[0], true);
	f.primary_reset(0);
	expect_scope(cuda, 0, &f.state->context[0], true); /* retained anew */
	assert_int_equal(f.state->context[0].retained, 1);
	f.set_current(own);
	own->alive = false;
	expect_error(rt_scope_enter(cuda, 1, &scope, &err), &err, RT_CONTEXT, "(709)");
	expect_error(rt_cuda_current(cuda, &device, &err), &err, RT_CONTEXT, "(709)");
	f.set_current(NULL);
	expect_error(rt_scope_enter(cuda, 2, &scope, &err), &err, RT_ARGUMENT, "sees 2");
	expect_error(rt_scope_enter(cuda, -2, &scope, &err), &err, RT_ARGUMENT, "no GPU -2");
	fake_fail(&f, FAKE_cuDevicePrimaryCtxRetain, 2, 0);
	expect_error(rt_scope_enter(cuda, 1, &scope, &err), &err, RT_DEVICE_MEMORY, "GPU 1");
	fake_fail(&f, FAKE_cuCtxPushCurrent, 999, 0);
	expect_error(rt_scope_enter(cuda, 0, &scope, &err), &err, RT_DRIVER, "cuCtxPushCurrent");
	fake_fail(&f, FAKE_cuCtxGetCurrent, 3, 0);
	expect_error(rt_scope_enter(cuda, 0, &scope, &err), &err, RT_DRIVER, "cuCtxGetCurrent");
	fake_fail(&f, -1, 0, 0);
	f.primary_reset(0); /* nothing to release then */
	fake_finish(&f, cuda);
}

/* What a child after fork() is told. */
static void test_fork(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		rt_error err = {0};
		rt_scope scope;

		fake_fail(&f, FAKE_cuCtxGetCurrent, 3, 0);
		_exit(rt_scope_enter(cuda, 0, &scope, &err) == RT_DRIVER &&
					strstr(err.message, "fork()")
				? 0
				: 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fake_finish(&f, cuda);
}

static void test_errors(void **state)
{
	rt_error err = {0};

	(void)state;
	for (int s = 0; s < RT_STATUS_COUNT; s++)
		assert_true(rt_status_string((rt_status)s)[0] != 0);
	assert_string_equal(rt_status_string((rt_status)99), "unknown status");
	assert_int_equal(rt_result_status(0), RT_OK);
	assert_int_equal(rt_result_status(12345), RT_DRIVER);
	assert_null(rt_result_remedy(12345));
	rt_error_set(&err, RT_TOOL, NULL, "%s", "x");
	rt_error_log(&err, "log", 3);
	rt_error_log(&err, "longer", 2);
	assert_string_equal(err.log, "lo");
	rt_error_clear(&err);
	rt_error_clear(NULL);
	assert_null(err.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_absent),
		cmocka_unit_test(test_environment), cmocka_unit_test(test_generations),
		cmocka_unit_test(test_failures), cmocka_unit_test(test_device),
		cmocka_unit_test(test_contexts), cmocka_unit_test(test_lost_contexts),
		cmocka_unit_test(test_fork), cmocka_unit_test(test_errors)};

	return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
