/* test_launch: what tkl_launch refuses, with which status and words; overlap of views. */
#include "call.h"
#include "api/api.h"

static tkl_context *context;
static tkl_kernel *cpu, *reference;

static int set_up(void **state)
{
	(void)state;
	if (tkl_context_create(NULL, &context))
		return -1;
	cpu = call_compile(context, CALL_SPEC, "cpu");
	reference = call_compile(context, CALL_SPEC, "reference");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tkl_kernel_destroy(cpu);
	tkl_kernel_destroy(reference);
	tkl_context_destroy(context);
	return 0;
}

/* --- arguments --- */

static void arguments_that_are_missing(void **state)
{
	call *c = call_make(cpu);

	(void)state;
	assert_int_equal(tkl_launch(NULL, &c->args), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_launch(cpu, NULL), TKL_ERROR_ARGUMENT);
	c->args.struct_size = 0;
	call_fails(c, TKL_ERROR_ARGUMENT, "struct_size");
	c = call_make(cpu);
	c->args.tensors = NULL;
	call_fails(c, TKL_ERROR_ARGUMENT, "tensors is NULL");
	c = call_make(cpu);
	c->args.tensor_count = 5;
	call_fails(c, TKL_ERROR_ARGUMENT, "'two' has 6 tensors, but 5 are passed");
	c = call_make(cpu);
	c->args.param_count = 1;
	call_fails(c, TKL_ERROR_ARGUMENT, "params is NULL");
	c = call_make(cpu);
	c->args.length_count = 1;
	call_fails(c, TKL_ERROR_ARGUMENT, "lengths is NULL");
	c = call_make(cpu);
	c->tensors[2] = NULL;
	call_fails(c, TKL_ERROR_ARGUMENT, "input 'v' is NULL");
	c = call_make(cpu);
	c->tensor[2].shape = NULL;
	call_fails(c, TKL_ERROR_ARGUMENT, "the shape of 'v' is NULL");
}

static void arguments_that_do_not_exist(void **state)
{
	tkl_param param = {.index = 2};
	tkl_length length = {"X", 3};
	call *c = call_make(cpu);

	(void)state;
	c->args.params = &param;
	c->args.param_count = 1;
	call_fails(c, TKL_ERROR_ARGUMENT, "'two' has 2 params, no number 2");
	c = call_make(cpu);
	c->args.lengths = &length;
	c->args.length_count = 1;
	call_fails(c, TKL_ERROR_ARGUMENT, "'two' has no length named 'X'");
	c = call_make(cpu);
	c->args.stream = c;
	call_fails(c, TKL_ERROR_ARGUMENT, "stream");
}

/* --- types, devices, shapes --- */

static void wrong_types(void **state)
{
	static const DLDataType wrong[] = {{kDLFloat, 16, 1}, {kDLInt, 32, 1}, {kDLFloat, 32, 2},
		{kDLFloat, 64, 1}, {99, 3, 1}, {kDLBfloat, 16, 1}};

	(void)state;
	for (int n = 0; n < 6; n++) {
		call *c = call_make(cpu);

		c->tensor[1].dtype = wrong[n];
		call_fails(c, TKL_ERROR_DTYPE, "'k' holds ");
	}
	call *c = call_make(reference);
	c->tensor[0].dtype.code = kDLInt;
	call_fails(c, TKL_ERROR_DTYPE, "'q' holds int32, but the spec says f32");
}

static void wrong_devices(void **state)
{
	call *c = call_make(cpu);

	(void)state;
	c->tensor[4].device.device_type = kDLCUDA;
	call_fails(c, TKL_ERROR_DEVICE, "'o' lies on device type 2");
	c = call_make(cpu);
	c->tensor[4].device.device_type = kDLCUDAHost; /* pinned memory is fine */
	assert_int_equal(call_launch(c), TKL_OK);
	call_free(c);
}

static void wrong_shapes(void **state)
{
	call *c = call_make(cpu);

	(void)state;
	c->tensor[0].ndim = 3;
	call_fails(c, TKL_ERROR_SHAPE, "'q' has 3 dimensions, but the spec says 4");
	c = call_make(cpu);
	c->shape[3][1] = -1;
	call_fails(c, TKL_ERROR_SHAPE, "dimension 1 of 'w' is -1");
	c = call_make(cpu);
	call_shape(c, 2, 2, 6, 2, 5);
	call_fails(c, TKL_ERROR_SHAPE, "dimension 3 of 'v' is 5, but the spec says D = 4");
	c = call_make(cpu);
	call_shape(c, 3, 2, 7, 2, 4);
	call_fails(c, TKL_ERROR_SHAPE, "dimension 1 of 'w' is 7, but 'k' has M = 6");
	c = call_make(cpu);
	call_shape(c, 5, 2, 4, 6, 0);
	call_fails(c, TKL_ERROR_SHAPE, "dimension 2 of 'lse' is 6, but 'q' has N = 5");
	c = call_sized(cpu, 1, 2, 4, 3, 3);
	call_fails(c, TKL_ERROR_SHAPE, "H = 4 of 'q' is not a multiple of G = 3 of 'k'");
	c = call_sized(cpu, 1, 2, 4, 3, 0);
	call_fails(c, TKL_ERROR_SHAPE, "H = 4 of 'q' is not a multiple of G = 0 of 'k'");
}

static void lengths_are_compared(void **state)
{
	tkl_length length = {"N", 5};
	call *c = call_make(cpu);

	(void)state;
	c->args.lengths = &length;
	c->args.length_count = 1;
	assert_int_equal(call_launch(c), TKL_OK);
	length.value = 6;
	assert_int_equal(call_launch(c), TKL_ERROR_SHAPE);
	assert_string_equal(tkl_last_error_message(), "length N is given as 6, but 'q' has N = 5");
	length.value = -1;
	call_fails(c, TKL_ERROR_SHAPE, "length N = -1 is negative");
}

/* A length that no tensor has: the number of keys of an attention over positions alone. */
static void a_length_that_no_tensor_has_is_passed(void **state)
{
	tkl_kernel *kernel = call_compile(context,
		"attention a(q : f32[i]) -> (o : f32[i]) { index i : N\n index j : M\n"
		" s = q * j\n o = sum(j) s }",
		"reference");
	int64_t shape[1] = {2};
	float q[2] = {1, 2}, o[2];
	DLTensor tensor[2] = {{.data = q,
		.device = {kDLCPU, 0},
		.ndim = 1,
		.dtype = {kDLFloat, 32, 1},
		.shape = shape}};
	const DLTensor *tensors[2] = {&tensor[0], &tensor[1]};
	tkl_length length = {"M", 4};
	tkl_launch_args args = {.struct_size = sizeof args, .tensors = tensors, .tensor_count = 2};
	tkl_length_info info = {.struct_size = sizeof info};

	(void)state;
	tensor[1] = tensor[0];
	tensor[1].data = o;
	assert_int_equal(
		tkl_kernel_length(kernel, tkl_kernel_find_length(kernel, "M"), &info), TKL_OK);
	assert_false(info.is_implied);
	assert_int_equal(tkl_launch(kernel, &args), TKL_ERROR_SHAPE);
	assert_string_equal(tkl_last_error_message(),
		"no tensor that was passed has the length M: give it in lengths");
	args.lengths = &length;
	args.length_count = 1;
	assert_int_equal(tkl_launch(kernel, &args), TKL_OK);
	assert_true(o[0] == 6 && o[1] == 12);
	tkl_kernel_destroy(kernel);
}

/* --- layouts --- */

static void data_that_cannot_be_used(void **state)
{
	call *c = call_make(cpu);

	(void)state;
	c->tensor[1].data = NULL;
	call_fails(c, TKL_ERROR_LAYOUT, "the data of 'k' is NULL");
	c = call_make(cpu);
	c->tensor[1].byte_offset = 2;
	call_fails(c, TKL_ERROR_LAYOUT, "not aligned to its 4-byte elements");
	c = call_make(cpu);
	c->stride[1][0] = INT64_MAX / 2;
	call_fails(c, TKL_ERROR_LAYOUT, "'k' is too large to address");
	c = call_make(cpu);
	c->stride[1][0] = INT64_MIN;
	call_fails(c, TKL_ERROR_LAYOUT, "'k' is too large to address");
}

static void outputs_that_overlap(void **state)
{
	call *c = call_make(cpu);

	(void)state;
	c->stride[4][1] = 0;
	call_fails(c, TKL_ERROR_LAYOUT, "the strides of output 'o' make its elements overlap");
	c = call_make(cpu);
	c->stride[4][2] = 3;
	call_fails(c, TKL_ERROR_LAYOUT, "the strides of output 'o' make its elements overlap");
	c = call_make(cpu);
	c->tensor[4].data = c->data[0];
	call_fails(c, TKL_ERROR_LAYOUT, "output 'o' overlaps input 'q'");
	c = call_make(cpu);
	c->tensor[5].data = c->data[4] + 159;
	call_fails(c, TKL_ERROR_LAYOUT, "output 'lse' overlaps output 'o'");
}

/* Inputs and outputs in one buffer, interleaved without sharing an element. */
static void an_interleaved_buffer_is_fine(void **state)
{
	call *c = call_make(cpu), *plain = call_make(cpu);
	float *both = calloc(320, sizeof *both);

	(void)state;
	for (int n = 0; n < 160; n++)
		both[n / 4 * 8 + n % 4] = c->data[0][n];
	for (int t = 0; t < 5; t += 4) {
		c->tensor[t].data = both + t;
		for (int d = 0; d < 3; d++)
			c->stride[t][d] *= 2;
	}
	assert_int_equal(call_launch(plain), TKL_OK);
	assert_int_equal(call_launch(c), TKL_OK);
	for (int n = 0; n < 160; n++)
		assert_true(fabsf(both[n / 4 * 8 + 4 + n % 4] - plain->data[4][n]) < 1e-5f);
	free(both);
	call_free(c);
	call_free(plain);
}

static bool brute_force_overlap(const api_view *x, const api_view *y)
{
	for (int64_t a = 0; a < x->size[0] * x->size[1]; a++)
		for (int64_t b = 0; b < y->size[0] * y->size[1]; b++) {
			int64_t p = (int64_t)x->base + a / x->size[1] * x->stride[0] +
				    a % x->size[1] * x->stride[1];
			int64_t q = (int64_t)y->base + b / y->size[1] * y->stride[0] +
				    b % y->size[1] * y->stride[1];

			if ((x != y || a != b) && p < q + y->item && q < p + x->item)
				return true;
		}
	return false;
}

static int64_t pick(uint64_t *state, int64_t low, int64_t high)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return low + (int64_t)((*state >> 33) % (uint64_t)(high - low + 1));
}

static void overlap_is_exact_on_random_views(void **state)
{
	uint64_t seed = 1;
	int found = 0;

	(void)state;
	for (int n = 0; n < 20000; n++) {
		api_view v[2];

		for (int k = 0; k < 2; k++)
			v[k] = (api_view){.base = (uintptr_t)pick(&seed, 1000, 1060),
				.rank = 2,
				.item = (int64_t)1 << pick(&seed, 0, 2),
				.size = {pick(&seed, 1, 5), pick(&seed, 1, 5)},
				.stride = {pick(&seed, -14, 14), pick(&seed, -14, 14)}};
		assert_int_equal(
			api_views_overlap(&v[0], &v[1]), brute_force_overlap(&v[0], &v[1]));
		assert_int_equal(
			api_view_overlaps_itself(&v[0]), brute_force_overlap(&v[0], &v[0]));
		found += api_views_overlap(&v[0], &v[1]);
	}
	assert_true(found > 4000 && found < 19000);
}

/* Strides that make the exact search long end it soon, on the safe side. */
static void an_absurd_layout_ends_soon(void **state)
{
	api_view x = {.base = 0, .item = 1, .rank = 8}, y = {.base = 1, .item = 1, .rank = 8};

	(void)state;
	for (int d = 0; d < 8; d++) {
		x.size[d] = y.size[d] = 1000;
		x.stride[d] = 1000000 + 2 * d * d * 977;
		y.stride[d] = 1000000 + 2 * d * 1361 + 44;
	}
	assert_true(api_views_overlap(&x, &y));
}

/* --- while it runs --- */

static void a_subscript_out_of_range_is_an_error_of_the_reference(void **state)
{
	tkl_kernel *kernel = call_compile(context,
		"attention a(q : f32[i], x : f32[2]) -> (o : f32[i]) { index i : N\n index j : N\n"
		" o = sum(j) q * x[j] }",
		"reference");
	int64_t shape[2] = {3, 2};
	float q[3] = {1, 2, 3}, o[3];
	DLTensor tensor[3] = {{.data = q,
		.device = {kDLCPU, 0},
		.ndim = 1,
		.dtype = {kDLFloat, 32, 1},
		.shape = shape}};
	const DLTensor *tensors[3] = {&tensor[0], &tensor[1], &tensor[2]};
	tkl_launch_args args = {.struct_size = sizeof args, .tensors = tensors, .tensor_count = 3};

	(void)state;
	tensor[1] = tensor[2] = tensor[0];
	tensor[1].shape = shape + 1;
	tensor[2].data = o;
	assert_int_equal(tkl_launch(kernel, &args), TKL_ERROR_RANGE);
	assert_string_equal(tkl_last_error_message(),
		"subscript 1 of 'x' is 2, outside [0, 2), in row 0 (i = 0, j = 2)");
	tkl_kernel_destroy(kernel);
}

static void the_workspace_grows_with_the_keys(void **state)
{
	call *c = call_make(cpu);
	uint64_t small = 0, large = 0, none = 1;

	(void)state;
	assert_int_equal(tkl_launch_workspace(cpu, &c->args, &small), TKL_OK);
	assert_true(small > 0);
	for (int t = 1; t < 4; t++)
		call_shape(c, t, CALL_B, 100 * CALL_M, CALL_G, CALL_D);
	assert_int_equal(tkl_launch_workspace(cpu, &c->args, &large), TKL_OK);
	assert_true(large > small);
	c->args.tensor_count = 5;
	assert_int_equal(tkl_launch_workspace(cpu, &c->args, &large), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_launch_workspace(cpu, &c->args, NULL), TKL_ERROR_ARGUMENT);
	call_free(c);
	c = call_make(reference);
	assert_int_equal(tkl_launch_workspace(reference, &c->args, &none), TKL_OK);
	assert_int_equal(none, 0);
	call_free(c);
}

static tkl_status run_into_a_bug(void *user)
{
	ice("a test's bug %d", *(int *)user);
}

static tkl_status guard_inside(void *user)
{
	tkl_status inner = api_guard(run_into_a_bug, user);

	assert_int_equal(inner, TKL_ERROR_INTERNAL);
	return run_into_a_bug(user);
}

static void a_bug_of_the_library_is_a_status(void **state)
{
	int number = 7;

	(void)state;
	assert_int_equal(api_guard(guard_inside, &number), TKL_ERROR_INTERNAL);
	assert_non_null(strstr(tkl_last_error_message(), "a test's bug 7"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_that_are_missing),
		cmocka_unit_test(arguments_that_do_not_exist),
		cmocka_unit_test(wrong_types),
		cmocka_unit_test(wrong_devices),
		cmocka_unit_test(wrong_shapes),
		cmocka_unit_test(lengths_are_compared),
		cmocka_unit_test(a_length_that_no_tensor_has_is_passed),
		cmocka_unit_test(data_that_cannot_be_used),
		cmocka_unit_test(outputs_that_overlap),
		cmocka_unit_test(an_interleaved_buffer_is_fine),
		cmocka_unit_test(overlap_is_exact_on_random_views),
		cmocka_unit_test(an_absurd_layout_ends_soon),
		cmocka_unit_test(a_subscript_out_of_range_is_an_error_of_the_reference),
		cmocka_unit_test(the_workspace_grows_with_the_keys),
		cmocka_unit_test(a_bug_of_the_library_is_a_status),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
