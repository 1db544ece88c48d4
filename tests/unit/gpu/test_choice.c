/* Candidates of `tune`: different, legal, kept to the schedule, the planner's own first; and the text
 * of a choice. */
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
		" rows = 16", "rows = 16 , stages = 2"};
	static const char *const good[] = {"", "rows = 64", "stages = 2, rows = 16",
		"rows = 128, warps = 4, tile k = 48, resident k = 240, stages = 1"};
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
	int n = gpu_candidates(a, m, "sm_80", list, MOST, d);
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
	assert_int_equal(gpu_candidates(a, m, "sm_80", list, 3, d), 3);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_reads_back),
		cmocka_unit_test(test_candidates_of_specs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
