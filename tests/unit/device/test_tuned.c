/* test_tuned: what is remembered of tuning: classes of problems, the way into the cache and back,
 * for whom it counts, and that the library compiles what was found. */
#include "device/device.h"
#include "fake.h"
#include "trikl.h"
#include <stdlib.h>
#include <unistd.h>

static const char spec[] = "attention a(q : T[i, H, D], k : T[j, H, D], v : T[j, H, D])\n"
			   "    -> (o : T[i, H, D]) {\n"
			   "    const D = 16, T = bf16\n"
			   "    param W = 4, scale = 0.5\n"
			   "    index i, j : N\n"
			   "    window j in (i - W, i]\n"
			   "    s = sum(d) q[d] * k[d] * scale\n"
			   "    p = softmax(j) s\n"
			   "    o = sum(j) p * v\n"
			   "}\n";

static fake f;
static char cache[] = "/tmp/trikl-test-XXXXXX";

typedef struct {
	arena *arena;
	device_request request;
	device_system *system;
} fixture;

static fixture open_fixture(void)
{
	fixture x = {.arena = arena_create()};
	source *src = source_create(x.arena, "a.tkl", spec, sizeof spec - 1);
	diags *d = diags_create(x.arena, src);
	ast_file *file = ast_parse(x.arena, src, d);
	sema_spec *s = sema_check(x.arena, file, file->specs.item[0], src, NULL, 0, d);
	const row_form *m = model_choose(s, NULL, d);

	assert_non_null(m);
	x.request = (device_request){.file = file,
		.ast = file->specs.item[0],
		.source = src,
		.inner = m->inner->name,
		.form = m,
		.arch = arch_find("sm_80"),
		.device = 1};
	x.system = device_open(&(device_options){.cache_directory = cache});
	return x;
}

static void close_fixture(fixture *x)
{
	device_close(x->system);
	arena_destroy(x->arena);
}

static int start(void **state)
{
	(void)state;
	f = fake_load("fake_cuda");
	return !mkdtemp(cache) || setenv("TRIKL_LIBCUDA", f.path, 1) ||
	       setenv("TRIKL_PTXAS", "none", 1);
}

static int stop(void **state)
{
	rt_cache *c = rt_cache_open(&(rt_cache_options){.directory = cache});

	(void)state;
	rt_cache_clear(c);
	rt_cache_close(c);
	return rmdir(cache);
}

static const device_tuned sample = {.gpu = "Fake 1",
	.spec = "a",
	.problem = "N=512 H=4 W=4",
	.text = "rows = 32, warps = 2, tile j = 32, resident j = 64, stages = 2",
	.ms = 1.25,
	.planned_ms = 2.5};

static void test_lengths_and_windows_count_by_their_nearest_power_of_two(void **state)
{
	static const struct {
		int64_t length[2], param[2];
		const char *class;
	} row[] = {{{512, 4}, {4, 0}, "N=512 H=4 W=4"}, {{700, 5}, {3, 0}, "N=512 H=4 W=4"},
		{{730, 6}, {6, 0}, "N=1024 H=8 W=8"}, {{0, 1}, {-3, 0}, "N=0 H=1 W=-3"}};
	fixture x = open_fixture();

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++)
		assert_string_equal(device_tuned_class(x.arena, x.request.form->spec, row[i].length,
					    row[i].param),
			row[i].class);
	close_fixture(&x);
}

static void expect_none(fixture *x, const char *problem)
{
	device_tuned t;

	assert_false(device_tuned_find(x->system, &x->request, problem, x->arena, &t));
}

static void test_kept_for_a_device_and_a_class_and_as_the_last(void **state)
{
	fixture x = open_fixture();
	device_tuned t, other = sample;

	(void)state;
	expect_none(&x, sample.problem);
	assert_true(device_tuned_keep(x.system, &x.request, &sample));
	other.problem = "N=1024 H=4 W=4";
	other.text = "";
	assert_true(device_tuned_keep(x.system, &x.request, &other));
	close_fixture(&x);

	x = open_fixture();
	assert_true(device_tuned_find(x.system, &x.request, sample.problem, x.arena, &t));
	assert_string_equal(t.text, sample.text);
	assert_string_equal(t.gpu, "Fake 1");
	assert_true(t.ms == 1.25 && t.planned_ms == 2.5);
	assert_int_equal(t.choice.count, 5);
	assert_true(device_tuned_find(x.system, &x.request, NULL, x.arena, &t));
	assert_string_equal(t.problem, other.problem);
	assert_int_equal(t.choice.count, 0);
	expect_none(&x, "N=2048 H=4 W=4");
	x.request.device = 0;
	expect_none(&x, sample.problem);
	x.request.device = RT_CURRENT;
	expect_none(&x, sample.problem);
	x.request.device = 1;
	x.request.define = &(sema_define){"D", "32"};
	x.request.defines = 1;
	expect_none(&x, sample.problem);
	close_fixture(&x);
}

static void test_nobody_uses_what_is_not_wanted(void **state)
{
	fixture x = open_fixture();

	(void)state;
	assert_true(device_tuned_keep(x.system, &x.request, &sample));
	setenv("TRIKL_NO_TUNE", "1", 1);
	expect_none(&x, sample.problem);
	unsetenv("TRIKL_NO_TUNE");
	close_fixture(&x);
}

/* Sound to the cache, of no sense here. */
static void test_strange_entries_are_absent(void **state)
{
	static const char *const bad[] = {"", "gpu x\n", "choice rows = 0", "choice rows = 32,",
		"choice tile k = 32", "choice rows = 32, rows = 32", "choice rows = 32x",
		"choice rows = 99999999999999999999"};
	fixture x = open_fixture();

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		rt_device_info info;
		rt_cuda *cuda;
		rt_cache_key key;
		char entry[256];
		rt_blob *blob;

		assert_int_equal(device_driver(x.system, &cuda, NULL), 0);
		assert_int_equal(rt_cuda_device(cuda, 1, &info, NULL), 0);
		key = device_tuned_key(&x.request, &info, "p");
		snprintf(entry, sizeof entry, "%s\ngpu g\nspec a\nproblem p\nms 1\nplanned_ms 2\n",
			bad[i]);
		blob = rt_blob_copy(entry, strlen(entry));
		assert_true(rt_cache_put(device_cache(x.system), &key, DEVICE_TUNED, blob));
		rt_blob_release(blob);
		expect_none(&x, "p");
	}
	close_fixture(&x);
}

static void test_library_compiles_what_was_tuned_last(void **state)
{
	tkl_context *context;
	tkl_kernel *kernel;
	fixture x = open_fixture();
	device_tuned t;
	device_times times;
	device_kernel *k;
	rt_image *image;

	(void)state;
	assert_true(device_tuned_keep(x.system, &x.request, &sample));
	assert_int_equal(tkl_context_create(
				 &(tkl_context_options){.struct_size = sizeof(tkl_context_options),
					 .cache_directory = cache},
				 &context),
		TKL_OK);
	assert_int_equal(tkl_compile(context, spec, sizeof spec - 1,
				 &(tkl_compile_options){.struct_size = sizeof(tkl_compile_options),
					 .target = "cuda:1"},
				 &kernel, NULL),
		TKL_OK);
	assert_true(device_tuned_find(x.system, &x.request, NULL, x.arena, &t));
	x.request.choice = &t.choice;
	k = device_compile(
		x.system, &x.request, x.arena, diags_create(x.arena, x.request.source), &times);
	assert_non_null(k);
	assert_int_equal(rt_program_best(device_program(k), 1, &image, NULL), 0);
	assert_int_equal(rt_image_signature(image)->rows, 32);
	assert_int_equal(device_count(x.system).compiles, 0); /* the library has */
	assert_int_equal(device_count(x.system).hits, 1);
	device_destroy(k);
	tkl_kernel_destroy(kernel);
	tkl_context_destroy(context);
	close_fixture(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths_and_windows_count_by_their_nearest_power_of_two),
		cmocka_unit_test(test_kept_for_a_device_and_a_class_and_as_the_last),
		cmocka_unit_test(test_nobody_uses_what_is_not_wanted),
		cmocka_unit_test(test_strange_entries_are_absent),
		cmocka_unit_test(test_library_compiles_what_was_tuned_last),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
