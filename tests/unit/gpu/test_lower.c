/* Every shipped spec with row form lowers to a program that verifies and reads back. */
#include "hand_plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const specs[] = {"mha", "two_simplicial", "alibi", "alibi_slopes", "bias",
	"chunked", "cross_attention", "determinant", "document", "gqa", "local", "logn", "mla",
	"mqa", "padded", "pairwise", "prefix_lm", "qk_norm", "rank_one", "relative", "retention",
	"rope", "sigmoid", "sink", "sliding_window", "softcap", "strided", "three_simplicial",
	"two_simplicial_biased", "two_simplicial_cross"};

static tile_program *lower(arena *a, const row_form *m, hand_sizes z)
{
	gpu_plan plan;
	diags *d = diags_create(a, m->spec->src);
	tile_program *p;

	assert_true(hand_plan(m, z, &plan));
	p = gpu_lower(a, &plan, d);
	assert_non_null(p);
	return p;
}

static void verify(const char *spec, const tile_program *p)
{
	text why = {0};

	if (!tile_verify(p, &why))
		fail_msg("%s: %s", spec, why.data);
	text_free(&why);
}

static char *print(const tile_program *p)
{
	text out = {0};

	tile_print(p, &out);
	return text_take(&out);
}

static void read_back(const char *spec, const tile_program *p)
{
	arena *a = arena_create();
	char *first = print(p), *second;
	source *src = source_create(a, spec, first, strlen(first));
	diags *d = diags_create(a, src);
	tile_program *again = tile_parse(a, src, d);

	if (!again) {
		text out = {0};

		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s", out.data);
	}
	verify(spec, again);
	second = print(again);
	assert_string_equal(first, second);
	if (getenv("TRIKL_PRINT") && strcmp(getenv("TRIKL_PRINT"), spec) == 0)
		puts(first);
	free(first);
	free(second);
	arena_destroy(a);
}

static void test_specs_lower(void **state)
{
	static const hand_sizes sizes[] = {
		{4, 64, 64, 2}, {4, 64, 256, 1}, {4, 64, 256, 2}, {1, 16, 16, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
		for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
			arena *a = arena_create();
			char *bytes;
			const row_form *m = hand_form(a, specs[i], &bytes);

			if (m) {
				tile_program *p = lower(a, m, sizes[z]);

				verify(specs[i], p);
				read_back(specs[i], p);
			} else {
				print_message("%s has no row form\n", specs[i]);
			}
			arena_destroy(a);
			free(bytes);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_specs_lower)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
