/* test_api: compiling, asking, launching through the public API, from one thread and from many. */
#include "call.h"
#include <pthread.h>

static tkl_context *context;
static tkl_kernel *cpu, *reference;

static int set_up(void **state)
{
	tkl_context_options options = {.struct_size = sizeof options, .threads = 3};

	(void)state;
	if (tkl_context_create(&options, &context))
		return -1;
	cpu = call_compile(context, CALL_SPEC, "cpu");
	reference = call_compile(context, CALL_SPEC, "reference");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tkl_context_destroy(context); /* before its kernels: they keep it */
	tkl_kernel_destroy(cpu);
	tkl_kernel_destroy(reference);
	return 0;
}

/* --- contexts --- */

static void versions_agree(void **state)
{
	(void)state;
	assert_int_equal(tkl_version(), TKL_VERSION);
}

static void every_status_has_a_text(void **state)
{
	(void)state;
	for (int s = TKL_OK; s <= TKL_ERROR_INTERNAL; s++)
		for (int t = TKL_OK; t < s; t++)
			assert_string_not_equal(
				tkl_status_string((tkl_status)s), tkl_status_string((tkl_status)t));
	assert_string_equal(tkl_status_string((tkl_status)99), "unknown status");
}

static void contexts_take_options(void **state)
{
	tkl_context_options o = {.struct_size = sizeof o, .threads = 2};
	tkl_context *c;

	(void)state;
	assert_int_equal(tkl_context_create(&o, &c), TKL_OK);
	assert_int_equal(tkl_context_threads(c), 2);
	tkl_context_destroy(c);
	assert_int_equal(tkl_context_create(NULL, &c), TKL_OK);
	assert_true(tkl_context_threads(c) >= 1);
	tkl_context_destroy(c);
	o.threads = -1;
	assert_int_equal(tkl_context_create(&o, &c), TKL_ERROR_ARGUMENT);
	o = (tkl_context_options){.threads = 1};
	assert_int_equal(tkl_context_create(&o, &c), TKL_ERROR_ARGUMENT);
	assert_non_null(strstr(tkl_last_error_message(), "struct_size"));
	assert_int_equal(tkl_context_create(NULL, NULL), TKL_ERROR_ARGUMENT);
	tkl_context_destroy(NULL);
}

static void structs_may_be_shorter_or_longer(void **state)
{
	struct {
		tkl_context_options known;
		int64_t newer;
	} longer = {{.struct_size = sizeof longer, .threads = 2}, 0};
	size_t shorter = sizeof shorter;
	tkl_context *c;

	(void)state;
	assert_int_equal(tkl_context_create(&longer.known, &c), TKL_OK);
	tkl_context_destroy(c);
	longer.newer = 1;
	assert_int_equal(tkl_context_create(&longer.known, &c), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_context_create((void *)&shorter, &c), TKL_OK);
	tkl_context_destroy(c);
}

/* --- compiling --- */

static tkl_status compile(const char *spec, tkl_compile_options options, char **diagnostics)
{
	tkl_kernel *kernel = NULL;
	tkl_status status;

	options.struct_size = sizeof options;
	status = tkl_compile(context, spec, strlen(spec), &options, &kernel, diagnostics);
	if (status)
		assert_null(kernel);
	tkl_kernel_destroy(kernel);
	return status;
}

static void errors_in_the_spec_come_with_place_and_text(void **state)
{
	static const char bad[] = "attention a(q : f32[i]) -> (o : f32[i]) {\n  o = sum(j) qq\n}";
	char *text;

	(void)state;
	assert_int_equal(compile(bad, (tkl_compile_options){.source_name = "my.tkl"}, &text),
		TKL_ERROR_SPEC);
	assert_non_null(strstr(text, "my.tkl:"));
	assert_non_null(strstr(text, "error: "));
	assert_int_equal(strncmp(tkl_last_error_message(), "my.tkl:", 7), 0);
	tkl_free(text);
	assert_int_equal(
		compile(bad, (tkl_compile_options){.diagnostics_format = TKL_DIAGNOSTICS_JSON},
			&text),
		TKL_ERROR_SPEC);
	assert_int_equal(text[0], '[');
	tkl_free(text);
	assert_int_equal(compile(bad, (tkl_compile_options){0}, NULL), TKL_ERROR_SPEC);
	assert_int_equal(compile("", (tkl_compile_options){0}, NULL), TKL_ERROR_SPEC);
	assert_int_equal(
		compile("\x01\xff attention", (tkl_compile_options){0}, NULL), TKL_ERROR_SPEC);
}

#define TINY(name)                                                                                 \
	"attention " name "(q : f32[i], k : f32[j]) -> (o : f32[i]) { index i, j : N\n"            \
	" o = sum(j) (softmax(j) q * k) * k }\n"

static void the_spec_is_chosen_by_name(void **state)
{
	(void)state;
	assert_int_equal(
		compile(TINY("a") TINY("b"), (tkl_compile_options){.spec = "b"}, NULL), TKL_OK);
	assert_int_equal(
		compile(TINY("a") TINY("b"), (tkl_compile_options){0}, NULL), TKL_ERROR_ARGUMENT);
	assert_non_null(strstr(tkl_last_error_message(), "'a', 'b'"));
	assert_int_equal(
		compile(TINY("a"), (tkl_compile_options){.spec = "c"}, NULL), TKL_ERROR_ARGUMENT);
	assert_non_null(strstr(tkl_last_error_message(), "no attention 'c'"));
}

static void wrong_options_are_refused(void **state)
{
	tkl_define half = {"D", NULL};
	tkl_kernel *kernel;

	(void)state;
	assert_int_equal(compile(TINY("a"), (tkl_compile_options){.target = "gpu"}, NULL),
		TKL_ERROR_ARGUMENT);
	assert_int_equal(compile(TINY("a"), (tkl_compile_options){.define_count = 1}, NULL),
		TKL_ERROR_ARGUMENT);
	assert_int_equal(compile(TINY("a"),
				 (tkl_compile_options){.defines = &half, .define_count = 1}, NULL),
		TKL_ERROR_ARGUMENT);
	assert_int_equal(compile(TINY("a"), (tkl_compile_options){.diagnostics_format = 7}, NULL),
		TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_compile(NULL, "", 0, NULL, &kernel, NULL), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_compile(context, "", 0, NULL, NULL, NULL), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_compile(context, NULL, 9, NULL, &kernel, NULL), TKL_ERROR_ARGUMENT);
}

static void a_spec_without_row_form_runs_on_the_reference_only(void **state)
{
	static const char additive[] =
		"attention a(q : f32[i, D], k : f32[j, D]) -> (o : f32[i]) { const D = 4\n"
		"index i, j : N\n s = sum(d) tanh(q[d] + k[d])\n p = softmax(j) s\n o = sum(j) p * "
		"j }";

	(void)state;
	assert_int_equal(compile(additive, (tkl_compile_options){0}, NULL), TKL_ERROR_UNSUPPORTED);
	assert_non_null(strstr(tkl_last_error_message(), "<string>:"));
	assert_int_equal(
		compile(additive, (tkl_compile_options){.target = "reference"}, NULL), TKL_OK);
}

static void defines_change_consts_and_defaults(void **state)
{
	tkl_define define[] = {{"D", "6"}, {"W", "9"}};
	tkl_compile_options o = {.struct_size = sizeof o,
		.target = "reference",
		.defines = define,
		.define_count = 2};
	tkl_tensor_info tensor = {.struct_size = sizeof tensor};
	tkl_param_info param = {.struct_size = sizeof param};
	tkl_kernel *kernel;

	(void)state;
	assert_int_equal(
		tkl_compile(context, CALL_SPEC, strlen(CALL_SPEC), &o, &kernel, NULL), TKL_OK);
	assert_int_equal(tkl_kernel_tensor(kernel, 0, &tensor), TKL_OK);
	assert_int_equal(tensor.dimensions[3].extent, 6);
	assert_int_equal(tkl_kernel_param(kernel, 0, &param), TKL_OK);
	assert_int_equal(param.default_value.i, 9);
	tkl_kernel_destroy(kernel);
	define[0].name = "nothing";
	assert_int_equal(compile(CALL_SPEC, o, NULL), TKL_ERROR_SPEC);
}

/* --- asking --- */

static void the_signature_is_the_spec_s(void **state)
{
	tkl_tensor_info t = {.struct_size = sizeof t};
	tkl_length_info l = {.struct_size = sizeof l};
	tkl_param_info p = {.struct_size = sizeof p};

	(void)state;
	assert_string_equal(tkl_kernel_name(cpu), "two");
	assert_string_equal(tkl_kernel_target(cpu), "cpu");
	assert_string_equal(tkl_kernel_target(reference), "reference");
	assert_int_equal(tkl_kernel_tensor_count(cpu), 6);
	assert_int_equal(tkl_kernel_find_tensor(cpu, "lse"), 5);
	assert_int_equal(tkl_kernel_tensor(cpu, 5, &t), TKL_OK);
	assert_string_equal(t.name, "lse");
	assert_true(t.is_output && t.ndim == 3);
	assert_true(t.dtype.code == kDLFloat && t.dtype.bits == 32 && t.dtype.lanes == 1);
	assert_string_equal(t.dimensions[2].name, "i");
	assert_int_equal(t.dimensions[2].length, tkl_kernel_find_length(cpu, "N"));
	assert_int_equal(t.dimensions[2].extent, -1);
	assert_int_equal(tkl_kernel_length_count(cpu), 5);
	assert_int_equal(tkl_kernel_length(cpu, tkl_kernel_find_length(cpu, "G"), &l), TKL_OK);
	assert_int_equal(l.divides, tkl_kernel_find_length(cpu, "H"));
	assert_true(l.is_implied);
	assert_int_equal(tkl_kernel_param_count(cpu), 2);
	assert_int_equal(tkl_kernel_param(cpu, tkl_kernel_find_param(cpu, "scale"), &p), TKL_OK);
	assert_true(p.type == TKL_PARAM_FLOAT && p.default_value.f == 0.5);
}

static void what_does_not_exist_is_refused(void **state)
{
	tkl_tensor_info t = {.struct_size = sizeof t};
	tkl_param_info p = {0};

	(void)state;
	assert_int_equal(tkl_kernel_find_tensor(cpu, "x"), -1);
	assert_int_equal(tkl_kernel_find_length(cpu, NULL), -1);
	assert_int_equal(tkl_kernel_find_param(NULL, "W"), -1);
	assert_int_equal(tkl_kernel_tensor_count(NULL), 0);
	assert_null(tkl_kernel_name(NULL));
	assert_int_equal(tkl_kernel_tensor(cpu, 6, &t), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_kernel_tensor(cpu, -1, &t), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_kernel_tensor(NULL, 0, &t), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_kernel_tensor(cpu, 0, NULL), TKL_ERROR_ARGUMENT);
	assert_int_equal(tkl_kernel_param(cpu, 0, &p), TKL_ERROR_ARGUMENT); /* no struct_size */
	tkl_kernel_destroy(NULL);
	tkl_free(NULL);
}

/* --- results --- */

static float worst_difference(const float *x, const float *y, int64_t n)
{
	float worst = 0;

	for (int64_t k = 0; k < n; k++)
		worst = fmaxf(worst, x[k] == y[k] ? 0 : fabsf(x[k] - y[k]));
	return worst;
}

/* Runs the same launch on both targets; the outputs agree. */
static void assert_agree(call *x, call *y)
{
	const int64_t *o = x->shape[4];
	int64_t rows = o[0] * o[1] * o[2];

	if (call_launch(x) || call_launch(y))
		fail_msg("%s", tkl_last_error_message());
	assert_true(worst_difference(x->data[4], y->data[4], rows * CALL_D) < 1e-5f);
	assert_true(worst_difference(x->data[5], y->data[5], rows) < 1e-5f);
	call_free(x);
	call_free(y);
}

static void both_targets_agree(void **state)
{
	(void)state;
	assert_agree(call_make(cpu), call_make(reference));
	assert_agree(call_sized(cpu, 1, 40, 6, 37, 3), call_sized(reference, 1, 40, 6, 37, 3));
}

static void params_are_set_by_index(void **state)
{
	tkl_param params[] = {{1, {.f = 2.0}}, {0, {.i = 100}}};
	call *x = call_make(cpu), *y = call_make(reference), *z = call_make(cpu);

	(void)state;
	x->args.params = y->args.params = params;
	x->args.param_count = y->args.param_count = 2;
	assert_int_equal(call_launch(z), TKL_OK);
	assert_int_equal(call_launch(x), TKL_OK);
	assert_true(worst_difference(x->data[4], z->data[4], 160) > 1e-3f);
	call_free(z);
	assert_agree(x, y);
}

static void a_null_output_is_not_computed(void **state)
{
	(void)state;
	for (int target = 0; target < 2; target++) {
		call *x = call_make(target ? reference : cpu), *y = call_make(cpu);

		x->tensors[4] = NULL;
		assert_int_equal(call_launch(x), TKL_OK);
		assert_int_equal(call_launch(y), TKL_OK);
		assert_true(x->data[4][0] == 777);
		assert_true(worst_difference(x->data[5], y->data[5], 40) < 1e-5f);
		x->tensors[5] = NULL;
		assert_int_equal(call_launch(x), TKL_OK);
		call_free(x);
		call_free(y);
	}
}

/* Tensors without elements may have NULL data. */
static void drop_empty_data(call *c)
{
	for (int t = 0; t < CALL_TENSORS; t++)
		for (int d = 0; d < c->tensor[t].ndim; d++)
			if (c->shape[t][d] == 0)
				c->tensor[t].data = NULL;
}

static void lengths_may_be_zero(void **state)
{
	static const int64_t size[][5] = {{0, 5, 4, 6, 2}, {2, 0, 4, 6, 2}, {2, 5, 0, 6, 2},
		{2, 5, 0, 6, 0}, {2, 5, 4, 0, 2}};

	(void)state;
	for (int n = 0; n < 10; n++) {
		const int64_t *s = size[n / 2];
		call *c = call_sized(n % 2 ? reference : cpu, s[0], s[1], s[2], s[3], s[4]);

		drop_empty_data(c);
		if (call_launch(c))
			fail_msg("%d: %s", n, tkl_last_error_message());
		for (int64_t row = 0; row < s[0] * s[1] * s[2]; row++) { /* M = 0 */
			assert_true(c->data[4][row * CALL_D] == 0);
			assert_true(c->data[5][row] == -INFINITY);
		}
		call_free(c);
	}
}

/* Reverses k in memory and in strides: the same tensor. */
static void reverse_k(call *c)
{
	float *k = c->data[1];

	for (int a = 0, b = 95; a < b; a++, b--) {
		float swap = k[a];

		k[a] = k[b];
		k[b] = swap;
	}
	c->tensor[1].byte_offset = 95 * sizeof(float);
	for (int d = 0; d < 4; d++)
		c->stride[1][d] *= -1;
}

static void strides_may_be_negative(void **state)
{
	call *x = call_make(cpu), *y = call_make(reference), *plain = call_make(cpu);

	(void)state;
	reverse_k(x);
	reverse_k(y);
	plain->tensor[0].strides = NULL;
	assert_int_equal(call_launch(plain), TKL_OK);
	assert_int_equal(call_launch(x), TKL_OK);
	assert_true(worst_difference(x->data[4], plain->data[4], 160) < 1e-5f);
	call_free(plain);
	assert_agree(x, y);
}

static void inputs_may_be_broadcast(void **state)
{
	call *x = call_make(cpu), *y = call_make(reference), *plain = call_make(cpu);

	(void)state;
	x->stride[2][1] = y->stride[2][1] = 0; /* v: every j has the values of j = 0 */
	for (int n = 0; n < 96; n++)
		plain->data[2][n] = plain->data[2][n / 48 * 48 + n % 8];
	assert_int_equal(call_launch(plain), TKL_OK);
	assert_int_equal(call_launch(x), TKL_OK);
	assert_true(worst_difference(x->data[4], plain->data[4], 160) < 1e-5f);
	call_free(plain);
	assert_agree(x, y);
}

static void outputs_may_be_strided(void **state)
{
	call *x = call_make(cpu), *y = call_make(reference), *plain = call_make(cpu);

	(void)state;
	for (int n = 0; n < 2; n++) { /* features outermost */
		call *c = n ? y : x;

		c->stride[4][3] = 40;
		for (int d = 0; d < 3; d++)
			c->stride[4][d] /= 4;
	}
	assert_int_equal(call_launch(plain), TKL_OK);
	assert_int_equal(call_launch(x), TKL_OK);
	for (int n = 0; n < 160; n++)
		assert_true(fabsf(x->data[4][n % 4 * 40 + n / 4] - plain->data[4][n]) < 1e-5f);
	call_free(plain);
	assert_agree(x, y);
}

static void nan_reaches_only_the_rows_that_see_it(void **state)
{
	(void)state;
	for (int target = 0; target < 2; target++) {
		call *c = call_make(target ? reference : cpu);

		c->data[1][((0 * 6 + 3) * 2 + 1) * 4] = NAN; /* k of batch 0, j = 3, group 1 */
		assert_int_equal(call_launch(c), TKL_OK);
		for (int row = 0; row < 40; row++) { /* (b, i, h): group 1 is heads 2 and 3 */
			int b = row / 20, i = row / 4 % 5, h = row % 4;
			bool sees = b == 0 && h >= 2 && i >= 3;

			assert_int_equal(isnan(c->data[4][row * 4]) != 0, sees);
			assert_int_equal(isnan(c->data[5][(b * 4 + h) * 5 + i]) != 0, sees);
		}
		call_free(c);
	}
}

static void the_reference_takes_doubles(void **state)
{
	call *x = call_make(reference), *y = call_make(reference);
	double *wide[CALL_TENSORS];

	(void)state;
	for (int t = 0; t < CALL_TENSORS; t++) {
		wide[t] = calloc(200, sizeof(double));
		for (int n = 0; n < 160 && t < 4; n++)
			wide[t][n] = (double)x->data[t][t == 0 || n < 96 ? n : 0];
		x->tensor[t].data = wide[t];
		x->tensor[t].dtype.bits = 64;
	}
	assert_int_equal(call_launch(x), TKL_OK);
	assert_int_equal(call_launch(y), TKL_OK);
	for (int n = 0; n < 160; n++)
		assert_true((float)wide[4][n] == y->data[4][n]);
	x->kernel = cpu;
	assert_int_equal(call_launch(x), TKL_ERROR_DTYPE);
	for (int t = 0; t < CALL_TENSORS; t++)
		free(wide[t]);
	call_free(x);
	call_free(y);
}

/* --- threads --- */

typedef struct {
	const tkl_kernel *kernel;
	const float *expected;
	int faults;
} job;

static void *launch_often(void *arg)
{
	job *j = arg;

	for (int n = 0; n < 20; n++) {
		call *c = call_make((tkl_kernel *)j->kernel);

		j->faults +=
			call_launch(c) || worst_difference(c->data[4], j->expected, 160) > 1e-5f;
		call_free(c);
	}
	return NULL;
}

static void many_threads_launch_one_kernel(void **state)
{
	call *c = call_make(cpu);
	pthread_t thread[6];
	job jobs[6];

	(void)state;
	assert_int_equal(call_launch(c), TKL_OK);
	for (int t = 0; t < 6; t++) {
		jobs[t] = (job){t % 2 ? cpu : reference, c->data[4], 0};
		pthread_create(&thread[t], NULL, launch_often, &jobs[t]);
	}
	for (int t = 0; t < 6; t++) {
		pthread_join(thread[t], NULL);
		assert_int_equal(jobs[t].faults, 0);
	}
	call_free(c);
}

static void *compile_often(void *arg)
{
	job *j = arg;

	for (int n = 0; n < 3; n++) {
		tkl_compile_options bad = {.struct_size = sizeof bad, .spec = "missing"};
		tkl_kernel *kernel;
		call *c;

		if (tkl_compile(context, CALL_SPEC, strlen(CALL_SPEC), NULL, &kernel, NULL)) {
			j->faults++;
			continue;
		}
		c = call_make(kernel);
		j->faults +=
			call_launch(c) || worst_difference(c->data[4], j->expected, 160) > 1e-5f;
		call_free(c);
		tkl_kernel_destroy(kernel);
		/* each thread has its own message */
		j->faults += tkl_compile(context, CALL_SPEC, strlen(CALL_SPEC), &bad, &kernel,
				     NULL) != TKL_ERROR_ARGUMENT;
		j->faults += !strstr(tkl_last_error_message(), "'missing'");
	}
	return NULL;
}

static void many_threads_compile_at_once(void **state)
{
	call *c = call_make(cpu);
	pthread_t thread[4];
	job jobs[4];

	(void)state;
	assert_int_equal(call_launch(c), TKL_OK);
	for (int t = 0; t < 4; t++) {
		jobs[t] = (job){NULL, c->data[4], 0};
		pthread_create(&thread[t], NULL, compile_often, &jobs[t]);
	}
	for (int t = 0; t < 4; t++) {
		pthread_join(thread[t], NULL);
		assert_int_equal(jobs[t].faults, 0);
	}
	call_free(c);
}

/* A progress callback that uses the library itself. */
static void ask_meanwhile(void *user, double done)
{
	tkl_context *c;

	*(double *)user = done;
	if (!tkl_context_create(NULL, &c))
		tkl_context_destroy(c);
	(void)compile(TINY("a"), (tkl_compile_options){.target = "reference"}, NULL);
}

static void progress_may_use_the_library(void **state)
{
	call *c = call_make(reference);
	double done = 0;

	(void)state;
	c->args.progress = ask_meanwhile;
	c->args.progress_user = &done;
	assert_int_equal(call_launch(c), TKL_OK);
	assert_true(done > 0);
	call_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_agree),
		cmocka_unit_test(every_status_has_a_text),
		cmocka_unit_test(contexts_take_options),
		cmocka_unit_test(structs_may_be_shorter_or_longer),
		cmocka_unit_test(errors_in_the_spec_come_with_place_and_text),
		cmocka_unit_test(the_spec_is_chosen_by_name),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(a_spec_without_row_form_runs_on_the_reference_only),
		cmocka_unit_test(defines_change_consts_and_defaults),
		cmocka_unit_test(the_signature_is_the_spec_s),
		cmocka_unit_test(what_does_not_exist_is_refused),
		cmocka_unit_test(both_targets_agree),
		cmocka_unit_test(params_are_set_by_index),
		cmocka_unit_test(a_null_output_is_not_computed),
		cmocka_unit_test(lengths_may_be_zero),
		cmocka_unit_test(strides_may_be_negative),
		cmocka_unit_test(inputs_may_be_broadcast),
		cmocka_unit_test(outputs_may_be_strided),
		cmocka_unit_test(nan_reaches_only_the_rows_that_see_it),
		cmocka_unit_test(the_reference_takes_doubles),
		cmocka_unit_test(many_threads_launch_one_kernel),
		cmocka_unit_test(many_threads_compile_at_once),
		cmocka_unit_test(progress_may_use_the_library),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
