/* test_choose.c: the inner axis that model_choose takes, and what it says when there is none. */
#include "model/model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* A 2-simplicial spec with these windows and this score. */
#define SPEC                                                                                       \
	"attention t(q : f32[i, H, D], k1 : f32[j, D], k2 : f32[k, D], v1 : f32[j, E],\n"          \
	"            v2 : f32[k, E]) -> (o : f32[i, H, E]) {\n"                                    \
	"    const D = 4, E = 4\n"                                                                 \
	"    param W = 8, X = 64\n"                                                                \
	"    index i, j, k : N\n"                                                                  \
	"    %s\n"                                                                                 \
	"    s = %s + 0 * (W + X)\n"                                                               \
	"    p = softmax(j, k) s\n"                                                                \
	"    o = sum(j, k) p * v1 * v2\n"                                                          \
	"}\n"

typedef struct {
	arena *a;
	diags *d;
	row_form *form;
	const char *messages;
} chosen;

static chosen choose(const char *windows, const char *score, const char *wanted)
{
	chosen c = {.a = arena_create()};
	char *spec = arena_printf(c.a, SPEC, windows, score);
	source *src = source_create(c.a, "t.tkl", spec, strlen(spec));
	sema_axis *axis = NULL;
	ast_file *file;
	sema_spec *s;
	text out = {0};

	c.d = diags_create(c.a, src);
	file = ast_parse(c.a, src, c.d);
	assert_int_equal(diag_error_count(c.d), 0);
	s = sema_check(c.a, file, file->specs.item[0], src, NULL, 0, c.d);
	if (s)
		for (int i = 0; i < s->key.count; i++)
			if (wanted && strcmp(s->key.item[i]->name, wanted) == 0)
				axis = s->key.item[i];
	if (s)
		c.form = model_choose(s, axis, c.d);
	diags_print(c.d, DIAG_TEXT, &out);
	c.messages = arena_strdup(c.a, out.data ? out.data : "");
	text_free(&out);
	if (!s)
		fail_msg("%s", c.messages);
	return c;
}

#define TRILINEAR "sum(d) q[d] * k1[d] * k2[d]"

static void expect_inner(const char *windows, const char *wanted, const char *inner)
{
	chosen c = choose(windows, TRILINEAR, wanted);

	assert_non_null(c.form);
	assert_string_equal(c.form->inner->name, inner);
	arena_destroy(c.a);
}

static void widest_window(void **state)
{
	(void)state;
	expect_inner("window j in (i - W, i]\n window k in (i - X, i]", NULL, "k");
	expect_inner("window j in (i - X, i]\n window k in (i - W, i]", NULL, "j");
	expect_inner("window j in [i - W, i + W]\n window k in (i - 2 * W, i]", NULL, "j");
}

static void unbounded_is_widest(void **state)
{
	(void)state;
	expect_inner("window k in (i - X, i]", NULL, "j");
	expect_inner("window j in [0, i]\n window k in (i - X, i]", NULL, "j");
	expect_inner("window j in (i - X, i]\n window k in [i, N)", NULL, "k");
}

static void chunk_counts_its_length(void **state)
{
	(void)state;
	expect_inner("window j in [X * (i / X), i]\n window k in (i - W, i]", NULL, "j");
	expect_inner("window j in [W * (i / W), i]\n window k in (i - X, i]", NULL, "k");
}

static void ties_go_to_the_last(void **state)
{
	(void)state;
	expect_inner("", NULL, "k");
	expect_inner("window j in [0, i]\n window k in [0, i]", NULL, "k");
}

static void wanted_axis_wins(void **state)
{
	(void)state;
	expect_inner("window j in (i - W, i]\n window k in (i - X, i]", "j", "j");
}

static void other_axis_when_the_first_has_none(void **state)
{
	chosen c = choose("", "sum(d) q[d] * k1[d] * tanh(q[d] + k2[d])", NULL);

	(void)state;
	assert_non_null(c.form);
	assert_string_equal(c.form->inner->name, "j");
	assert_string_equal(c.messages, "");
	arena_destroy(c.a);
}

static void wanted_axis_without_form_is_reported(void **state)
{
	chosen c = choose("", "sum(d) q[d] * k1[d] * tanh(q[d] + k2[d])", "k");

	(void)state;
	assert_non_null(c.form);
	assert_string_equal(c.form->inner->name, "j");
	assert_non_null(strstr(c.messages, "no row form with inner key 'k': 'tanh(q[d] + k2[d])'"));
	arena_destroy(c.a);
}

static void no_form_is_a_warning_that_names_the_term(void **state)
{
	chosen c = choose("", "sum(d) tanh(q[d] + k1[d] + k2[d])", NULL);

	(void)state;
	assert_null(c.form);
	assert_int_equal(diag_error_count(c.d), 0);
	assert_non_null(strstr(c.messages, "'t' has no row form: 'tanh(q[d] + k1[d] + k2[d])'"));
	arena_destroy(c.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widest_window),
		cmocka_unit_test(unbounded_is_widest),
		cmocka_unit_test(chunk_counts_its_length),
		cmocka_unit_test(ties_go_to_the_last),
		cmocka_unit_test(wanted_axis_wins),
		cmocka_unit_test(other_axis_when_the_first_has_none),
		cmocka_unit_test(wanted_axis_without_form_is_reported),
		cmocka_unit_test(no_form_is_a_warning_that_names_the_term),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
