/* Candidates of `tune`: different, legal, kept to the schedule, the planner's own first; the text of a
 * choice; and the plans for ranges of heads. */
#include "hand_plan.h"
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000 };

static const char *print(arena *a, const gpu_choice *c)
{
	text t = {0};
	const char *s;

	gpu_choice_print(c, &t);
	s = arena_strdup(a, t.data ? t.data : "");
	text_free(&t);
	return s;
}

static void test_text_reads_back(void **state)
{
	static const char *const bad[] = {"rows", "rows = ", "rows = 0", "rows = -16", "rows=16",
		"rows = 16,", "rows = 16, ", "rows = 16, rows = 16", "tile = 16", "tile j = 16",
		"rows k = 16", "stages = 1x", "colour = 2", "resident k = 9999999999999999999999",
		" rows = 16", "rows = 16 , stages = 2", "split = rows", "walk = 2", "walk = row",
		"walk = rowsx", "walk = rows, walk = block", "walk k = rows", "rows = rows"};
	static const char *const good[] = {"", "rows = 64", "stages = 2, rows = 16",
		"rows = 128, warps = 4, tile k = 48, resident k = 240, stages = 1", "split = 2",
		"walk = rows", "split = 2, walk = rows", "walk = block, split = 1",
		"rows = 128, warps = 8, tile k = 32, resident k = 320, stages = 1, split = 2, walk "
		"= "
		"rows"};
	arena *a = arena_create();
	char *bytes;
	const row_form *m = hand_form(a, "two_simplicial", &bytes);
	gpu_choice c;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(gpu_choice_parse(m, good[i], &c));
		assert_string_equal(print(a, &c), good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (gpu_choice_parse(m, bad[i], &c))
			fail_msg("accepted: %s", bad[i]);
	arena_destroy(a);
	free(bytes);
}

/* The plan of a choice has these sizes, whatever the planner would take. */
static void plan_is_the_choice(arena *a, const row_form *m, const gpu_choice *c)
{
	diags *d = diags_create(a, m->spec->src);
	gpu_plan plan;
	gpu_choice again;
	tile_program *p;
	text why = {0};

	assert_true(gpu_plan_make(m, "sm_80", c, &plan, d));
	again = gpu_choice_of(&plan);
	assert_string_equal(print(a, &again), print(a, c));
	p = gpu_lower(a, &plan, d);
	assert_non_null(p);
	if (!tile_verify(p, &why))
		fail_msg("%s, %s: %s", m->spec->name, print(a, c), why.data);
	text_free(&why);
	text_free(&plan.why);
}

static void try_spec(const char *name, int least)
{
	arena *a = arena_create();
	char *bytes;
	const row_form *m = hand_form(a, name, &bytes);
	gpu_choice *list = ARENA_ARRAY(a, gpu_choice, MOST);
	diags *d = diags_create(a, m->spec->src);
	int n = gpu_candidates(a, m, "sm_80", 0, list, MOST, d);
	gpu_plan plan;
	gpu_choice own;

	if (n < least)
		fail_msg("%s has %d candidates", name, n);
	assert_true(gpu_plan_make(m, "sm_80", NULL, &plan, d));
	own = gpu_choice_of(&plan);
	assert_string_equal(print(a, &own), print(a, &list[0]));
	text_free(&plan.why);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(print(a, &list[i]), print(a, &list[k]));
	for (int i = 0; i < n; i += n / 12 + 1)
		plan_is_the_choice(a, m, &list[i]);
	assert_int_equal(gpu_candidates(a, m, "sm_80", 0, list, 3, d), 3);
	arena_destroy(a);
	free(bytes);
}

static void test_candidates_of_specs(void **state)
{
	static const char *const specs[] = {"mha", "gqa", "two_simplicial", "three_simplicial",
		"determinant", "pairwise", "rank_one", "retention", "two_simplicial_cross"};

	(void)state;
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
		try_spec(specs[i], 8);
}

static void expect_variant(const row_form *m, int64_t heads, const char *want)
{
	arena *a = arena_create();
	gpu_choice c = {.count = 0};
	gpu_plan plan;
	const char *got =
		gpu_variant(m, "sm_90a", heads, &c) ? print(a, &c) : "the plan without choice";

	if (strcmp(got, want))
		fail_msg("%s with %lld heads: %s, not %s", m->spec->name, (long long)heads, got,
			want);
	assert_true(gpu_plan_make(m, "sm_90a", &c, &plan, diags_create(a, m->spec->src)));
	if (heads > 0 && plan.heads_least)
		assert_true(heads >= plan.heads_least);
	if (plan.heads_most)
		assert_true(heads <= plan.heads_most);
	text_free(&plan.why);
	arena_destroy(a);
}

#define DEFAULT "the plan without choice"

static void test_variants_have_ranges(void **state)
{
	arena *a = arena_create();
	char *bytes;
	const row_form *m = hand_form(a, "two_simplicial", &bytes);
	gpu_choice list[GPU_VARIANTS];
	gpu_plan plan;

	(void)state;
	expect_variant(m, 0, DEFAULT);
	expect_variant(m, 1, "split = 2, walk = rows");
	expect_variant(m, 63, "split = 2, walk = rows");
	expect_variant(m, 64, "split = 2");
	expect_variant(m, 127, "split = 2");
	expect_variant(m, 128, DEFAULT);
	expect_variant(m, 100000, DEFAULT);
	assert_int_equal(gpu_variants(m, "sm_90a", list), 2);
	assert_int_equal(list[0].heads_least, 64);
	assert_int_equal(list[0].heads_most, 127);
	assert_int_equal(list[1].heads_least, 0);
	assert_int_equal(list[1].heads_most, 63);
	assert_int_equal(gpu_variants(m, "sm_80", list), 0);
	assert_true(gpu_plan_make(m, "sm_90a", NULL, &plan, diags_create(a, m->spec->src)));
	assert_int_equal(plan.heads_least, 128);
	assert_int_equal(plan.heads_most, 0);
	text_free(&plan.why);
	arena_destroy(a);
	free(bytes);
}

/* No wgmma; no outer axes; no groups; no window of the outer axis. */
static void test_one_plan_for_all_heads(void **state)
{
	static const char *const specs[] = {
		"two_simplicial_biased", "mha", "gqa", "mla", "two_simplicial_cross"};
	gpu_choice list[GPU_VARIANTS];

	(void)state;
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
		arena *a = arena_create();
		char *bytes;
		const row_form *m = hand_form(a, specs[i], &bytes);

		assert_int_equal(gpu_variants(m, "sm_90a", list), 0);
		expect_variant(m, 1, DEFAULT);
		arena_destroy(a);
		free(bytes);
	}
}

/* With rows, split or walk in a schedule there is one plan. */
static void test_schedules_leave_one_plan(void **state)
{
	static const char *const set[] = {"rows = 128", "split = 1", "walk = block"};
	arena *a = arena_create();
	char *bytes;
	row_form *m = (row_form *)hand_form(a, "two_simplicial", &bytes);
	gpu_choice list[GPU_VARIANTS], c;

	(void)state;
	for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
		assert_true(gpu_choice_parse(m, set[i], &c));
		c.item[0].target = "sm_90a";
		ARENA_PUSH(a, &m->spec->setting, c.item[0]);
		assert_int_equal(gpu_variants(m, "sm_90a", list), 0);
		m->spec->setting.count--;
	}
	assert_true(gpu_choice_parse(m, "rows = 128", &c)); /* for another target */
	c.item[0].target = "sm_80";
	ARENA_PUSH(a, &m->spec->setting, c.item[0]);
	assert_int_equal(gpu_variants(m, "sm_90a", list), 2);
	arena_destroy(a);
	free(bytes);
}

static int resident_keys(const row_form *m, const char *target, const gpu_choice *c)
{
	arena *a = arena_create();
	gpu_plan plan;

	assert_true(gpu_plan_make(m, target, c, &plan, diags_create(a, m->spec->src)));
	text_free(&plan.why);
	arena_destroy(a);
	return plan.resident;
}

/* Where rows walk, a block of keys holds the windows of all its rows, if that fits. */
static void test_windows_that_fit_are_resident(void **state)
{
	arena *a = arena_create();
	char *bytes;
	const row_form *m = hand_form(a, "two_simplicial", &bytes);
	sema_param *width = m->spec->param.item[1];
	gpu_choice c;

	(void)state;
	assert_string_equal(width->name, "W2");
	assert_true(gpu_variant(m, "sm_90a", 1, &c));
	width->i = 256;
	assert_int_equal(resident_keys(m, "sm_90a", &c), 320);
	assert_int_equal(resident_keys(m, "sm_90a", NULL), 256);
	width->i = 512; /* does not fit */
	assert_int_equal(resident_keys(m, "sm_90a", &c), 256);
	width->i = 16; /* a launch may have a wider one */
	assert_int_equal(resident_keys(m, "sm_90a", &c), 256);
	arena_destroy(a);
	free(bytes);
}

/* The plan for the number of heads comes first, then the planner's others. */
static void test_candidates_try_the_variants(void **state)
{
	static const struct {
		int heads;
		const char *first[3];
	} want[] = {{0, {"", ", split = 2", ", split = 2, walk = rows"}},
		{1, {", split = 2, walk = rows", "", ", split = 2"}},
		{64, {", split = 2", "", ", split = 2, walk = rows"}}};
	arena *a = arena_create();
	char *bytes;
	const row_form *m = hand_form(a, "two_simplicial", &bytes);
	gpu_choice *list = ARENA_ARRAY(a, gpu_choice, MOST);

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		int n = gpu_candidates(
			a, m, "sm_90a", want[i].heads, list, MOST, diags_create(a, m->spec->src));

		assert_true(n > 6);
		for (int k = 0; k < 3; k++) {
			const char *got = strstr(print(a, &list[k]), "stages = 1");

			assert_non_null(got);
			assert_string_equal(got + strlen("stages = 1"), want[i].first[k]);
		}
	}
	arena_destroy(a);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_reads_back),
		cmocka_unit_test(test_candidates_of_specs),
		cmocka_unit_test(test_variants_have_ranges),
		cmocka_unit_test(test_one_plan_for_all_heads),
		cmocka_unit_test(test_schedules_leave_one_plan),
		cmocka_unit_test(test_windows_that_fit_are_resident),
		cmocka_unit_test(test_candidates_try_the_variants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
