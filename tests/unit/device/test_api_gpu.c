/* test_api_gpu: GPU kernels of the library on the stand-in driver: what is compiled, cached, loaded,
 * launched and refused, and with which words. */
#include "fake.h"
#include "trikl.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TENSORS = 4, N = 10, H = 2, D = 16, LAUNCHES = 2000 };

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

static const char spec[] = "attention a(q : T[i, H, D], k : T[j, H, D], v : T[j, H, D])\n"
			   "    -> (o : T[i, H, D]) {\n"
			   "    const D = 16, T = bf16\n"
			   "    param W = 4\n"
			   "    index i, j : N\n"
			   "    window j in (i - W, i]\n"
			   "    s = sum(d) q[d] * k[d]\n"
			   "    p = softmax(j) s\n"
			   "    o = sum(j) p * v\n"
			   "}\n"
			   "schedule a on sm_80 { rows = 32 }\n";

static fake f;
static tkl_context *context;
static char cache[] = "/tmp/trikl-test-XXXXXX";

static int start(void **state)
{
	(void)state;
	f = fake_load("fake_cuda");
	if (setenv("TRIKL_LIBCUDA", f.path, 1) || setenv("TRIKL_PTXAS", "none", 1))
		return -1;
	return tkl_context_create(&(tkl_context_options){.struct_size = sizeof(tkl_context_options),
					  .threads = 1,
					  .cache_directory = cache},
		&context);
}

static int stop(void **state)
{
	(void)state;
	tkl_context_destroy(context);
	assert_int_equal(f.state->violations, 0);
	assert_int_equal(f.state->live_modules + f.state->live_libraries, 0);
	return 0;
}

static tkl_status compile(const char *target, tkl_kernel **k)
{
	tkl_compile_options o = {.struct_size = sizeof o, .target = target};

	return tkl_compile(context, spec, sizeof spec - 1, &o, k, NULL);
}

static tkl_kernel *compiled(const char *target)
{
	tkl_kernel *k = NULL;

	if (compile(target, &k))
		fail_msg("%s", tkl_last_error_message());
	return k;
}

/* --- a launch --- */

typedef struct {
	DLTensor tensor[TENSORS];
	const DLTensor *tensors[TENSORS];
	int64_t shape[3];
	tkl_launch_args args;
} call;

static call *make(call *c, int device)
{
	memset(c, 0, sizeof *c);
	c->shape[0] = N;
	c->shape[1] = H;
	c->shape[2] = D;
	for (int t = 0; t < TENSORS; t++) {
		c->tensor[t] = (DLTensor){.data = (void *)(uintptr_t)(0x10000 * (t + 1)),
			.device = {kDLCUDA, device},
			.ndim = 3,
			.dtype = {kDLBfloat, 16, 1},
			.shape = c->shape};
		c->tensors[t] = &c->tensor[t];
	}
	c->args = (tkl_launch_args){
		.struct_size = sizeof c->args, .tensors = c->tensors, .tensor_count = TENSORS};
	return c;
}

static void refused(const tkl_kernel *k, const call *c, tkl_status want, const char *says)
{
	tkl_status got = tkl_launch(k, &c->args);

	if (got != want || !strstr(tkl_last_error_message(), says))
		fail_msg("status %d, '%s'; wanted %d, '%s'", got, tkl_last_error_message(), want,
			says);
}

static tkl_counters counters(void)
{
	tkl_counters c = {.struct_size = sizeof c};

	assert_int_equal(tkl_context_counters(context, &c), TKL_OK);
	return c;
}

/* --- tests --- */

static void a_kernel_is_compiled_once_and_launched(void **state)
{
	tkl_kernel *k = compiled("cuda:1"), *again;
	int64_t address, stride;
	size_t size;
	call c;

	(void)state;
	assert_string_equal(tkl_kernel_target(k), "sm_80");
	assert_non_null(tkl_kernel_code(k, &size));
	assert_int_equal(counters().compiles, 1);
	assert_int_equal(counters().loads, 0);
	assert_int_equal(tkl_prepare(k, 1), TKL_OK);
	assert_int_equal(tkl_launch(k, &make(&c, 1)->args), TKL_OK);
	assert_int_equal(counters().loads, 1);
	assert_int_equal(f.state->launches[1], 1);
	assert_int_equal(f.state->last.grid[0], H); /* N = 10 of 32 rows */
	assert_int_equal(f.state->last.grid[1], 1);
	assert_int_equal(f.state->last.block[0], 64);
	memcpy(&address, f.state->last.parameters + 8, 8);
	memcpy(&stride, f.state->last.parameters + 32, 8);
	assert_int_equal(address, 0x20000);
	assert_int_equal(stride, H * D);
	again = compiled("sm_80");
	assert_int_equal(counters().compiles, 1);
	assert_int_equal(counters().cache_hits, 1);
	assert_int_equal(tkl_launch(again, &c.args), TKL_OK);
	assert_int_equal(counters().loads, 2);
	tkl_kernel_destroy(again);
	tkl_kernel_destroy(k);
}

static void lengths_windows_and_strides_compile_and_load_nothing(void **state)
{
	tkl_kernel *k = compiled("cuda:1");
	tkl_param w = {tkl_kernel_find_param(k, "W"), {.i = 0}};
	int64_t strides[] = {H * D + 48, D + 16, 1};
	tkl_counters before;
	call c;

	(void)state;
	assert_int_equal(tkl_prepare(k, 1), TKL_OK);
	before = counters();
	make(&c, 1)->args.params = &w;
	c.args.param_count = 1;
	for (int n = 0; n < 200; n++)
		for (w.value.i = 1; w.value.i < 1000; w.value.i += 57) {
			c.shape[0] = n;
			c.tensor[0].strides = n % 2 ? strides : NULL;
			assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
		}
	assert_int_equal(counters().compiles, before.compiles);
	assert_int_equal(counters().loads, before.loads);
	tkl_kernel_destroy(k);
}

static void a_launch_allocates_nothing_and_is_quick(void **state)
{
	tkl_kernel *k = compiled("cuda:1");
	struct timespec a, b;
	double best = 1e9;
	call c;

	(void)state;
	assert_int_equal(tkl_prepare(k, 1), TKL_OK);
	make(&c, 1);
	atomic_store(&allocations, 0);
	for (int n = 0; n < LAUNCHES; n++) {
		double ns;

		clock_gettime(CLOCK_MONOTONIC, &a);
		assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
		clock_gettime(CLOCK_MONOTONIC, &b);
		ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);

		best = ns < best ? ns : best;
	}
	assert_int_equal(allocations, 0);
	print_message("a launch takes %.0f ns at best\n", best);
#if !defined(__SANITIZE_ADDRESS__)
	assert_true(best < 5000);
#endif
	tkl_kernel_destroy(k);
}

static void a_capture_needs_a_prepared_kernel(void **state)
{
	tkl_kernel *k = compiled("cuda:0");
	cu_context own = f.context_create(0);
	struct CUstream_st stream = {.context = own};
	call c;

	(void)state;
	f.set_current(own);
	make(&c, 0)->args.stream = &stream;
	f.capture(&stream, 1);
	refused(k, &c, TKL_ERROR_CAPTURE, "prepare it before the capture");
	f.capture(&stream, 0);
	assert_int_equal(tkl_prepare(k, 0), TKL_OK);
	f.capture(&stream, 1);
	assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	assert_ptr_equal(f.state->last.stream, &stream);
	f.capture(&stream, 0);
	f.set_current(NULL);
	tkl_kernel_destroy(k);
	f.context_destroy(own);
}

static void wrong_tensors_are_refused(void **state)
{
	tkl_kernel *k = compiled("cuda:1"), *any = compiled("sm_80");
	int64_t transposed[] = {1, D * N, N};
	call c;

	(void)state;
	make(&c, 1)->tensor[2].device.device_type = kDLCPU;
	refused(k, &c, TKL_ERROR_DEVICE, "'v' lies on device type 1");
	make(&c, 0);
	refused(k, &c, TKL_ERROR_DEVICE, "'q' lies on GPU 0, but the kernel runs on GPU 1");
	make(&c, 0)->tensor[3].device.device_id = 1;
	refused(any, &c, TKL_ERROR_DEVICE, "'o' lies on GPU 1");
	make(&c, 1)->tensor[1].strides = transposed;
	refused(k, &c, TKL_ERROR_LAYOUT, "the last dimension of 'k' has stride 10");
	make(&c, 1)->tensors[2] = NULL;
	refused(k, &c, TKL_ERROR_ARGUMENT, "input 'v' is NULL");
	make(&c, 1)->tensors[3] = NULL;
	assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	make(&c, 1)->shape[0] = INT64_C(1) << 33;
	refused(k, &c, TKL_ERROR_LAYOUT, "overlaps");
	for (int t = 0; t < TENSORS; t++)
		c.tensor[t].data = (void *)((uintptr_t)(t + 1) << 44);
	refused(k, &c, TKL_ERROR_SHAPE, "length N = 8589934592");
	make(&c, 1)->tensor[0].dtype.code = kDLFloat;
	refused(k, &c, TKL_ERROR_DTYPE, "'q' holds float16");
	make(&c, 1)->tensor[0].device.device_type = kDLCUDAManaged;
	assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	tkl_kernel_destroy(k);
	tkl_kernel_destroy(any);
}

static void nothing_to_compute_launches_nothing(void **state)
{
	tkl_kernel *k = compiled("cuda:1");
	int before = f.state->launches[1];
	call c;

	(void)state;
	make(&c, 1)->shape[0] = 0;
	for (int t = 0; t < TENSORS; t++)
		c.tensor[t].data = NULL;
	assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	assert_int_equal(f.state->launches[1], before);
	tkl_kernel_destroy(k);
}

static void wrong_devices_and_targets_are_refused(void **state)
{
	tkl_kernel *k = NULL;

	(void)state;
	assert_int_equal(compile("cuda:2", &k), TKL_ERROR_NO_DEVICE);
	assert_non_null(strstr(tkl_last_error_message(), "there is no GPU 2"));
	assert_int_equal(compile("cuda:x", &k), TKL_ERROR_ARGUMENT);
	assert_int_equal(compile("sm_81", &k), TKL_ERROR_ARGUMENT);
	assert_int_equal(compile("cuda:", &k), TKL_ERROR_ARGUMENT);
	k = compiled("sm_90");
	assert_int_equal(tkl_prepare(k, 1), TKL_ERROR_CODE);
	assert_non_null(strstr(tkl_last_error_message(), "compiled for sm_90; GPU 1"));
	assert_int_equal(tkl_prepare(k, 0), TKL_OK);
	tkl_kernel_destroy(k);
	k = compiled("cuda:1");
	assert_int_equal(tkl_prepare(k, 0), TKL_ERROR_ARGUMENT);
	tkl_kernel_destroy(k);
}

static void what_a_target_lacks_is_unsupported(void **state)
{
	tkl_define f32 = {"T", "f32"};
	tkl_compile_options o = {
		.struct_size = sizeof o, .target = "sm_75", .defines = &f32, .define_count = 1};
	tkl_kernel *k = NULL;
	char *diagnostics = NULL;

	(void)state;
	assert_int_equal(tkl_compile(context, spec, sizeof spec - 1, &o, &k, &diagnostics),
		TKL_ERROR_UNSUPPORTED);
	assert_non_null(strstr(tkl_last_error_message(), "no matrix instruction for f32"));
	assert_non_null(strstr(diagnostics, "^"));
	tkl_free(diagnostics);
}

static void the_result_of_the_driver_is_kept(void **state)
{
	tkl_kernel *k = compiled("cuda:1");
	call c;

	(void)state;
	assert_int_equal(tkl_prepare(k, 1), TKL_OK);
	fake_fail(&f, FAKE_cuLaunchKernel, 700, 0);
	refused(k, make(&c, 1), TKL_ERROR_DRIVER, "cuLaunchKernel");
	assert_int_equal(tkl_last_error_driver(), 700);
	f.state->fail_function = -1;
	assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	assert_int_equal(tkl_launch(NULL, &c.args), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_last_error_driver(), 0);
	tkl_kernel_destroy(k);
}

/* --- kernels that move tensors by TMA --- */

static const char wide[] = "attention a(q : T[i, H, D], k : T[j, H, D], v : T[j, H, D])\n"
			   "    -> (o : T[i, H, D]) {\n"
			   "    const D = 64, T = bf16\n"
			   "    index i, j : N\n"
			   "    window j in [0, i]\n"
			   "    s = sum(d) q[d] * k[d]\n"
			   "    p = softmax(j) s\n"
			   "    o = sum(j) p * v\n"
			   "}\n";

/* Compiled for device 0, which has TMA; skips where its kernel does without. */
static tkl_kernel *compiled_wide(call *c)
{
	tkl_compile_options o = {.struct_size = sizeof o, .target = "cuda:0"};
	int before = f.state->calls[FAKE_cuTensorMapEncodeTiled];
	tkl_kernel *k = NULL;

	if (tkl_compile(context, wide, sizeof wide - 1, &o, &k, NULL))
		fail_msg("%s", tkl_last_error_message());
	make(c, 0)->shape[2] = 64;
	if (tkl_launch(k, &c->args))
		fail_msg("%s", tkl_last_error_message());
	if (f.state->calls[FAKE_cuTensorMapEncodeTiled] > before)
		return k;
	tkl_kernel_destroy(k);
	skip();
	return NULL;
}

static void other_tensors_have_a_kernel_compiled_on_demand(void **state)
{
	call c;
	tkl_kernel *k = compiled_wide(&c);
	uint64_t before = counters().compiles;
	unsigned shared = f.state->last.shared;

	(void)state;
	c.tensor[1].byte_offset = 2;
	for (int n = 0; n < 3; n++)
		assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	assert_int_equal(counters().compiles, before + 1);
	assert_int_not_equal(f.state->last.shared, shared);
	c.tensor[1].byte_offset = 0;
	assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	assert_int_equal(f.state->last.shared, shared);
	tkl_kernel_destroy(k);
}

static void preparing_compiles_it_before_a_capture(void **state)
{
	call c;
	tkl_kernel *k = compiled_wide(&c);
	cu_context own = f.context_create(0);
	struct CUstream_st stream = {.context = own};

	(void)state;
	f.set_current(own);
	c.args.stream = &stream;
	c.tensor[1].byte_offset = 2;
	f.capture(&stream, 1);
	refused(k, &c, TKL_ERROR_CAPTURE, "prepare it before the capture");
	f.capture(&stream, 0);
	assert_int_equal(tkl_prepare(k, 0), TKL_OK);
	f.capture(&stream, 1);
	assert_int_equal(tkl_launch(k, &c.args), TKL_OK);
	f.capture(&stream, 0);
	f.set_current(NULL);
	tkl_kernel_destroy(k);
	f.context_destroy(own);
}

/* --- kernels for numbers of heads --- */

static const char triples[] = "attention a(q : T[i, H, D], k1 : T[j, G, D], v1 : T[j, G, D],\n"
			      "    k2 : T[k, G, D], v2 : T[k, G, D]) -> (o : T[i, H, D]) {\n"
			      "    const D = 16, T = bf16\n"
			      "    param W = 4\n"
			      "    group G of H\n"
			      "    index i, j, k : N\n"
			      "    window j in (i - W, i]\n"
			      "    window k in (i - 64, i]\n"
			      "    s = sum(d) q[d] * k1[d] * k2[d]\n"
			      "    p = softmax(j, k) s\n"
			      "    o = sum(j, k) p * v1 * v2\n"
			      "}\n";

/* Blocks of a launch with 100 positions, one group and so many heads. */
static unsigned blocks_with_heads(tkl_kernel *k, int64_t heads)
{
	int64_t shape[2][3] = {{100, heads, D}, {100, 1, D}};
	const DLTensor *tensors[6];
	DLTensor tensor[6];
	tkl_launch_args args = {.struct_size = sizeof args, .tensors = tensors, .tensor_count = 6};

	for (int t = 0; t < 6; t++) {
		tensors[t] = &tensor[t];
		tensor[t] = (DLTensor){.data = (void *)(uintptr_t)(0x10000000 * (t + 1)),
			.device = {kDLCUDA, 0},
			.ndim = 3,
			.dtype = {kDLBfloat, 16, 1},
			.shape = shape[t > 0 && t < 5]};
	}
	if (tkl_launch(k, &args))
		fail_msg("%s", tkl_last_error_message());
	return f.state->last.grid[0];
}

static tkl_kernel *compiled_triples(const char *more)
{
	tkl_compile_options o = {.struct_size = sizeof o, .target = "cuda:0"};
	char text[1024];
	tkl_kernel *k = NULL;

	snprintf(text, sizeof text, "%s%s", triples, more);
	if (tkl_compile(context, text, strlen(text), &o, &k, NULL))
		fail_msg("%s", tkl_last_error_message());
	return k;
}

static void few_heads_have_kernels_compiled_on_demand(void **state)
{
	tkl_kernel *k = compiled_triples("");
	uint64_t before = counters().compiles, loads;

	(void)state;
	assert_int_equal(blocks_with_heads(k, 128), 100);
	assert_int_equal(blocks_with_heads(k, 129), 101); /* of 128 rows */
	assert_int_equal(counters().compiles, before);
	assert_int_equal(blocks_with_heads(k, 64), 100); /* of 64 rows */
	assert_int_equal(counters().compiles, before + 1);
	assert_int_equal(blocks_with_heads(k, 127), 199);
	assert_int_equal(blocks_with_heads(k, 1), 2);
	assert_int_equal(blocks_with_heads(k, 63), 99);
	assert_int_equal(counters().compiles, before + 2);
	tkl_kernel_destroy(k);
	k = compiled_triples("");
	assert_int_equal(tkl_prepare(k, 0), TKL_OK);
	assert_int_equal(counters().compiles, before + 3); /* for every tensor */
	loads = counters().loads;
	atomic_store(&allocations, 0);
	assert_int_equal(blocks_with_heads(k, 1), 2);
	assert_int_equal(blocks_with_heads(k, 65), 102);
	assert_int_equal(blocks_with_heads(k, 128), 100);
	assert_int_equal(allocations, 0);
	assert_int_equal(counters().loads, loads);
	tkl_kernel_destroy(k);
}

static void a_schedule_leaves_one_kernel(void **state)
{
	tkl_kernel *k = compiled_triples("schedule a { split = 1 }\n");
	uint64_t before = counters().compiles;

	(void)state;
	assert_int_equal(blocks_with_heads(k, 1), 1);
	assert_int_equal(blocks_with_heads(k, 64), 50);
	assert_int_equal(counters().compiles, before);
	tkl_kernel_destroy(k);
	k = compiled_triples("schedule a on sm_90a { split = 2; walk = rows }\n");
	before = counters().compiles;
	assert_int_equal(blocks_with_heads(k, 1), 2);
	assert_int_equal(blocks_with_heads(k, 128), 200);
	assert_int_equal(counters().compiles, before);
	tkl_kernel_destroy(k);
}

static void without_a_driver_code_can_still_be_made(void **state)
{
	tkl_context *alone;
	tkl_compile_options o = {.struct_size = sizeof o, .target = "cuda:0"};
	tkl_kernel *k = NULL;
	call c;

	(void)state;
	setenv("TRIKL_LIBCUDA", "/nonexistent/libcuda.so", 1);
	assert_int_equal(tkl_context_create(NULL, &alone), TKL_OK);
	assert_int_equal(
		tkl_compile(alone, spec, sizeof spec - 1, &o, &k, NULL), TKL_ERROR_NO_DEVICE);
	o.target = "sm_90a";
	assert_int_equal(tkl_compile(alone, spec, sizeof spec - 1, &o, &k, NULL), TKL_OK);
	assert_int_equal(tkl_prepare(k, 0), TKL_ERROR_NO_DEVICE);
	refused(k, make(&c, 0), TKL_ERROR_NO_DEVICE, "no CUDA driver");
	tkl_kernel_destroy(k);
	tkl_context_destroy(alone);
	setenv("TRIKL_LIBCUDA", f.path, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_is_compiled_once_and_launched),
		cmocka_unit_test(lengths_windows_and_strides_compile_and_load_nothing),
		cmocka_unit_test(a_launch_allocates_nothing_and_is_quick),
		cmocka_unit_test(a_capture_needs_a_prepared_kernel),
		cmocka_unit_test(wrong_tensors_are_refused),
		cmocka_unit_test(nothing_to_compute_launches_nothing),
		cmocka_unit_test(wrong_devices_and_targets_are_refused),
		cmocka_unit_test(what_a_target_lacks_is_unsupported),
		cmocka_unit_test(the_result_of_the_driver_is_kept),
		cmocka_unit_test(other_tensors_have_a_kernel_compiled_on_demand),
		cmocka_unit_test(preparing_compiles_it_before_a_capture),
		cmocka_unit_test(few_heads_have_kernels_compiled_on_demand),
		cmocka_unit_test(a_schedule_leaves_one_kernel),
		cmocka_unit_test(without_a_driver_code_can_still_be_made),
	};
	char command[64];
	int failed;

	if (!mkdtemp(cache))
		return 1;
	failed = cmocka_run_group_tests(tests, start, stop);
	snprintf(command, sizeof command, "rm -r %s", cache);
	return system(command) ? 1 : failed;
}
