/* test_rt_launch: libtrikl-rt's functions on the stand-in driver: which image of a bundle runs where,
 * and for which tensors. Device 0 has capability 9.0, device 1 8.0. */
#include "fake.h"
#include "kernel.h"
#include "trikl.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 200, M = 77 };

static fake f;
static tkl_context *context;

static int start(void **state)
{
	(void)state;
	f = fake_load("fake_cuda");
	setenv("TRIKL_LIBCUDA", f.path, 1);
	return tkl_context_create(
		&(tkl_context_options){.struct_size = sizeof(tkl_context_options), .threads = 1},
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

static tkl_kernel *load(const rt_bundle_image *image, int images)
{
	rt_bundle_kernel k = scale_kernel(image, images);
	size_t size;
	void *data = rt_bundle_write("t", &k, 1, &size);
	tkl_kernel *kernel = NULL;

	assert_non_null(data);
	if (tkl_bundle_load(context, data, size, NULL, &kernel))
		fail_msg("%s", tkl_last_error_message());
	free(data);
	return kernel;
}

/* sm_80 as PTX and cubin, sm_90a by TMA, and sm_90. */
static tkl_kernel *load_all(void)
{
	rt_bundle_image image[] = {scale_image("sm_80", false, false),
		scale_image("sm_80", true, false), scale_image("sm_90a", true, true),
		scale_image("sm_90", true, false)};

	return load(image, 4);
}

typedef struct {
	DLTensor tensor[SCALE_TENSORS];
	const DLTensor *tensors[SCALE_TENSORS];
	int64_t shape[SCALE_TENSORS][3];
	tkl_launch_args args;
} call;

static call *make(call *c, int device)
{
	memset(c, 0, sizeof *c);
	for (int t = 0; t < SCALE_TENSORS; t++) {
		c->shape[t][0] = 3;
		c->shape[t][1] = t == 1 ? M : N;
		c->shape[t][2] = SCALE_D;
		c->tensor[t] = (DLTensor){.data = (void *)(uintptr_t)(0x1000000 * (t + 1)),
			.device = {kDLCUDA, device},
			.ndim = 3,
			.dtype = {kDLBfloat, 16, 1},
			.shape = c->shape[t]};
		c->tensors[t] = &c->tensor[t];
	}
	c->args = (tkl_launch_args){.struct_size = sizeof c->args,
		.tensors = c->tensors,
		.tensor_count = SCALE_TENSORS};
	return c;
}

static void launched(const tkl_kernel *k, const call *c, unsigned threads)
{
	if (tkl_launch(k, &c->args))
		fail_msg("%s", tkl_last_error_message());
	assert_int_equal(f.state->last.block[0], threads);
}

static void refused(const tkl_kernel *k, const call *c, tkl_status want, const char *says)
{
	tkl_status got = tkl_launch(k, &c->args);

	if (got != want || !strstr(tkl_last_error_message(), says))
		fail_msg("status %d, '%s'; wanted %d, '%s'", got, tkl_last_error_message(), want,
			says);
}

static void the_signature_is_that_of_the_spec(void **state)
{
	tkl_kernel *k = load_all();
	tkl_tensor_info t = {.struct_size = sizeof t};
	tkl_param_info p = {.struct_size = sizeof p};

	(void)state;
	assert_string_equal(tkl_kernel_name(k), "scale");
	assert_string_equal(tkl_kernel_target(k), "sm_80,sm_90a,sm_90");
	assert_int_equal(tkl_kernel_tensor_count(k), 3);
	assert_int_equal(tkl_kernel_find_tensor(k, "o"), 2);
	assert_int_equal(tkl_kernel_tensor(k, 1, &t), TKL_OK);
	assert_string_equal(t.dimensions[1].name, "j");
	assert_int_equal(t.dtype.code, kDLBfloat);
	assert_int_equal(tkl_kernel_param(k, 1, &p), TKL_OK);
	assert_true(p.type == TKL_PARAM_FLOAT && p.default_value.f == 0.5);
	tkl_kernel_destroy(k);
}

static void the_best_image_for_the_device_runs(void **state)
{
	tkl_kernel *k = load_all();
	call c;

	(void)state;
	launched(k, make(&c, 1), 128);
	assert_int_equal(f.state->last.grid[0], 4 * 3); /* 3 times 200 rows in blocks of 64 */
	launched(k, make(&c, 0), 384);
	assert_int_equal(f.state->last.grid[0], 2 * 3);
	assert_int_equal(f.state->map.extent[1], M);
	tkl_kernel_destroy(k);
}

static void tensors_decide_between_tma_and_the_other_kernel(void **state)
{
	int64_t odd[] = {(SCALE_D + 4) * M, SCALE_D + 4, 1};
	tkl_kernel *k = load_all();
	call c;

	(void)state;
	launched(k, make(&c, 0), 384);
	c.tensor[1].byte_offset = 8;
	launched(k, &c, 128);
	make(&c, 0)->tensor[1].strides = odd;
	launched(k, &c, 128);
	make(&c, 0)->tensor[0].byte_offset = 2; /* no map describes q */
	launched(k, &c, 384);
	make(&c, 0)->shape[1][1] = 0;
	c.tensor[1].data = NULL;
	launched(k, &c, 384);
	tkl_kernel_destroy(k);
}

static void preparing_loads_both(void **state)
{
	tkl_kernel *k = load_all();
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
	launched(k, &c, 384);
	c.tensor[1].byte_offset = 2;
	launched(k, &c, 128);
	f.capture(&stream, 0);
	f.set_current(NULL);
	tkl_kernel_destroy(k);
	f.context_destroy(own);
}

static void a_device_without_code_is_told_the_targets(void **state)
{
	rt_bundle_image image[] = {
		scale_image("sm_90a", true, true), scale_image("sm_120", false, false)};
	tkl_kernel *k = load(image, 2);
	call c;

	(void)state;
	refused(k, make(&c, 1), TKL_ERROR_CODE, "compiled for sm_90a, sm_120; GPU 1 (Fake 1)");
	assert_int_equal(tkl_prepare(k, 1), TKL_ERROR_CODE);
	assert_int_equal(tkl_prepare(k, 0), TKL_OK);
	launched(k, make(&c, 0), 384);
	c.tensor[1].byte_offset = 4;
	refused(k, &c, TKL_ERROR_LAYOUT, "no multiple of 16 bytes");
	assert_int_equal(tkl_prepare(k, 9), TKL_ERROR_NO_DEVICE);
	tkl_kernel_destroy(k);
}

/* As machine code of a later toolkit is to an older driver; then both. */
static void an_image_that_cannot_be_loaded_is_set_aside(void **state)
{
	static const char bad[] = "\177ELF sm_90 scale, reject",
			  worse[] = ".version 9.9\n.target "
				    "sm_90\n.visible .entry scale(\nreject";
	rt_bundle_image image[] = {scale_image("sm_80", false, false),
		scale_image("sm_90", true, false), scale_image("sm_90", false, false)};
	tkl_kernel *k;
	call c;

	(void)state;
	image[1].code = bad;
	image[1].size = sizeof bad - 1;
	image[1].signature.threads = 256;
	k = load(image, 3);
	launched(k, make(&c, 0), 128);
	assert_int_equal(tkl_prepare(k, 0), TKL_OK);
	tkl_kernel_destroy(k);
	image[2].code = worse;
	image[2].size = sizeof worse - 1;
	image[2].signature.threads = 256;
	k = load(image, 3);
	assert_int_equal(tkl_prepare(k, 0), TKL_OK);
	launched(k, make(&c, 0), 128);
	tkl_kernel_destroy(k);
	k = load(image + 1, 2);
	refused(k, make(&c, 0), TKL_ERROR_INTERNAL, "CUDA_ERROR_INVALID_PTX");
	refused(k, make(&c, 0), TKL_ERROR_INTERNAL, "CUDA_ERROR_INVALID_PTX");
	tkl_kernel_destroy(k);
}

static void tensors_are_checked_as_by_the_other_library(void **state)
{
	tkl_kernel *k = load_all();
	call c;

	(void)state;
	make(&c, 0)->tensor[0].dtype.code = kDLFloat;
	refused(k, &c, TKL_ERROR_DTYPE, "'q' holds float16, but the spec says bf16");
	make(&c, 0)->shape[1][2] = 60;
	refused(k, &c, TKL_ERROR_SHAPE, "the spec says D = 64");
	make(&c, 0)->shape[1][0] = 4;
	refused(k, &c, TKL_ERROR_SHAPE, "dimension 0 of 'k' is 4, but 'q' has B = 3");
	make(&c, 0)->tensor[2].device.device_type = kDLCPU;
	refused(k, &c, TKL_ERROR_DEVICE, "'o' lies on device type 1");
	make(&c, 0)->tensor[2].data = c.tensor[0].data;
	refused(k, &c, TKL_ERROR_LAYOUT, "output 'o' overlaps input 'q'");
	make(&c, 0)->args.tensor_count = 2;
	refused(k, &c, TKL_ERROR_ARGUMENT, "3 tensors");
	tkl_kernel_destroy(k);
}

static void bundles_that_cannot_be_used(void **state)
{
	tkl_kernel *k = NULL;
	char path[] = "/tmp/trikl-test-XXXXXX";
	int file = mkstemp(path);
	rt_bundle_image image = scale_image("sm_80", false, false);
	rt_bundle_kernel two[2] = {scale_kernel(&image, 1), scale_kernel(&image, 1)};
	size_t size;
	void *data;

	(void)state;
	two[1].interface.name = "other";
	data = rt_bundle_write("t", two, 2, &size);
	assert_int_equal(tkl_bundle_load(context, data, size, NULL, &k), TKL_ERROR_ARGUMENT);
	assert_non_null(strstr(tkl_last_error_message(), "'scale', 'other'"));
	assert_int_equal(tkl_bundle_load(context, data, size, "more", &k), TKL_ERROR_ARGUMENT);
	assert_int_equal(write(file, data, size), size);
	assert_int_equal(tkl_bundle_open(context, path, "other", &k), TKL_OK);
	assert_string_equal(tkl_kernel_name(k), "other");
	tkl_kernel_destroy(k);
	assert_int_equal(ftruncate(file, 100), 0);
	assert_int_equal(tkl_bundle_open(context, path, NULL, &k), TKL_ERROR_BUNDLE);
	close(file);
	remove(path);
	assert_int_equal(tkl_bundle_open(context, path, NULL, &k), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_bundle_load(context, "x", 1, NULL, &k), TKL_ERROR_BUNDLE);
	assert_int_equal(tkl_bundle_load(context, NULL, 0, NULL, &k), TKL_ERROR_ARGUMENT);
	assert_string_equal(tkl_status_string(TKL_ERROR_BUNDLE), "unusable bundle");
	free(data);
}

static void without_a_driver_a_bundle_still_loads(void **state)
{
	tkl_context *alone;
	tkl_kernel *k;
	call c;

	(void)state;
	setenv("TRIKL_LIBCUDA", "/nonexistent/libcuda.so", 1);
	assert_int_equal(tkl_context_create(NULL, &alone), TKL_OK);
	tkl_context *first = context;
	context = alone;
	k = load_all();
	context = first;
	assert_int_equal(tkl_prepare(k, 0), TKL_ERROR_NO_DEVICE);
	refused(k, make(&c, 0), TKL_ERROR_NO_DEVICE, "no CUDA driver");
	tkl_context_destroy(alone);
	tkl_kernel_destroy(k);
	setenv("TRIKL_LIBCUDA", f.path, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_signature_is_that_of_the_spec),
		cmocka_unit_test(the_best_image_for_the_device_runs),
		cmocka_unit_test(tensors_decide_between_tma_and_the_other_kernel),
		cmocka_unit_test(preparing_loads_both),
		cmocka_unit_test(a_device_without_code_is_told_the_targets),
		cmocka_unit_test(an_image_that_cannot_be_loaded_is_set_aside),
		cmocka_unit_test(tensors_are_checked_as_by_the_other_library),
		cmocka_unit_test(bundles_that_cannot_be_used),
		cmocka_unit_test(without_a_driver_a_bundle_still_loads),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
