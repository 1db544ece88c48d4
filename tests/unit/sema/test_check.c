/* test_check: what legal specs mean, and that hostile ones end with a message in bounded time. */
#include "spec.h"

/* --- the meaning of definitions: a definition's printed value --- */

static void check_value(const char *spec, const char *name, const char *expected)
{
	arena *a = arena_create();
	const char *found = NULL;
	diags *d;
	sema_spec *s = spec_check(a, spec, &d);

	if (!s)
		fail_msg("%s", d->list.item[0].message);
	for (int k = 0; k < s->def.count; k++)
		if (strcmp(s->def.item[k]->name, name) == 0)
			found = spec_print(a, s->def.item[k]->value);
	assert_non_null(found);
	assert_string_equal(found, expected);
	arena_destroy(a);
}

#define TAIL "p = softmax(j) s\no = sum(j) p * v\n"

static void subscripts_bind_the_last_dimensions(void **state)
{
	(void)state;
	check_value(SPEC("s = sum(d) q[d] * k[0, d] * r[d, d]\n" TAIL), "s",
		"sum(d) q[b, i, h, d] * k[b, j, 0, d] * r[d, d]");
	check_value(SPEC("s = sum(d) q[d] * k[d]\n" TAIL), "o", "sum(j) p * v[b, j, g, e]");
}

static void outputs_can_name_their_feature(void **state)
{
	(void)state;
	check_value(SPEC("s = sum(d) q[d] * k[d]\np = softmax(j) s\no[x] = sum(j) p * v[x] * r[0, "
			 "x]\n"),
		"o", "sum(j) p * v[b, j, g, x] * r[0, x]");
}

static void brackets_divide_ints_rounding_down(void **state)
{
	(void)state;
	check_value(SPEC("s = sum(d) q[d] * k[d / 2] * (d / 2)\n" TAIL), "s",
		"sum(d) q[b, i, h, d] * k[b, j, g, d // 2] * (d / 2.0)");
}

static void vectors_substitute_without_capture(void **state)
{
	(void)state;
	check_value(SPEC("t[d] = sum(e) q[e] * (d - e)\ns = sum(e) t[e] * k[e]\n" TAIL), "s",
		"sum(e) (sum(e_2) q[b, i, h, e_2] * (e - e_2)) * k[b, j, g, e]");
	check_value(SPEC("m[x, y] = r[x, y]\nt[x, y] = m[y, x]\ns = sum(d) q[d] * t[0, d] * "
			 "k[d]\n" TAIL),
		"s", "sum(d) q[b, i, h, d] * r[d, 0] * k[b, j, g, d]");
}

static void chunks_of_three_are_written_out(void **state)
{
	static const char spec[] = "attention t(q : f32[i, D], k : f32[j, D]) -> (o : f32[i]) { "
				   "const D = 6 index i, j : N\n"
				   "s = sum(d) cross(q, k)[d] * k[d]  t = det(q, k, k) p = "
				   "softmax(j) s - t o = sum(j) p }";

	(void)state;
	check_value(spec, "s",
		"sum(d) (q[i, 3 * (d // 3) + (d + 1) % 3] * k[j, 3 * (d // 3) + (d + 2) % 3] - "
		"q[i, 3 * (d // 3) + (d + 2) % 3] * k[j, 3 * (d // 3) + (d + 1) % 3]) * k[j, d]");
}

static void reductions_depend_on_their_masks(void **state)
{
	static const char spec[] = "attention t(q : f32[i, D], k : f32[j, D], l : f32[m, D]) -> (o "
				   ": f32[i]) { const D = 6\n"
				   "index i, j, m : N  mask m <= i  mask j != 2  a = sum(m) sum(d) "
				   "l[d]  o = sum(j) a * k[0] * q[0] }";
	arena *a = arena_create();
	diags *d;
	sema_spec *s = spec_check(a, spec, &d);

	(void)state;
	assert_non_null(s);
	assert_true(expr_depends(s->def.item[0]->value, s->query));
	assert_false(expr_depends(s->def.item[0]->value, s->key.item[0]));
	assert_false(sema_mask_applies(s, s->mask.item[0], s->key.item, 1));
	assert_true(sema_mask_applies(s, s->mask.item[1], s->key.item, 1));
	arena_destroy(a);
}

/* --- hostile specs --- */

typedef void (*writer)(text *out, int n);

/* SPEC with n lines by `write`, then `last`. */
static void check_hostile(writer write, int n, const char *last, const char *message)
{
	arena *a = arena_create();
	text out = {0};
	diags *d;

	text_put(&out, "attention t(q : f32[i, D], k : f32[j, D]) -> (o : f32[i, D]) {\n"
		       "const D = 8\nindex i, j : N\n");
	for (int k = 0; k < n; k++)
		write(&out, k);
	text_printf(&out, "%s\np = softmax(j) s\no = sum(j) p * k\n}\n", last);
	spec_check(a, out.data, &d);
	if (message)
		assert_non_null(strstr(d->list.count ? d->list.item[0].message : "", message));
	else
		assert_int_equal(diag_error_count(d), 0);
	text_free(&out);
	arena_destroy(a);
}

static void doubling_scalar(text *out, int n)
{
	if (n == 0)
		text_put(out, "s0 = sum(d) q[d] * k[d]\n");
	else
		text_printf(out, "s%d = s%d + s%d\n", n, n - 1, n - 1);
}

static void doubling_vector(text *out, int n)
{
	if (n == 0)
		text_put(out, "a0[d] = q[d]\n");
	else
		text_printf(out, "a%d[d] = a%d[d] * a%d[(d + 1) %% 8]\n", n, n - 1, n - 1);
}

static void nesting_vector(text *out, int n)
{
	if (n == 0)
		text_put(out, "a0[d] = q[d]\n");
	else
		text_printf(out, "a%d[d] = sum(e : D) a%d[e] * (d + e)\n", n, n - 1);
}

static void distinct_index(text *out, int n)
{
	text_printf(out, "x%d = sum(d%d : 4) d%d\n", n, n, n);
}

static void unknown_name(text *out, int n)
{
	text_printf(out, "x%d = unknown%d\n", n, n);
}

static void distinct_mask(text *out, int n)
{
	text_printf(out, "mask i - j != %d\n", n);
}

static void growth_is_bounded(void **state)
{
	(void)state;
	check_hostile(doubling_scalar, 900, "s = s899", NULL);
	check_hostile(doubling_scalar, 20000, "s = s19999", "too deeply");
	check_hostile(doubling_vector, 60, "s = sum(d) a59[d]", "too large after substitution");
	check_hostile(nesting_vector, 150, "s = sum(d) a149[d] * k[d]", NULL);
	check_hostile(distinct_index, 500, "s = 1.0", "too many different indices");
	check_hostile(unknown_name, 5000, "s = 1.0", "unknown name 'unknown0'");
	check_hostile(distinct_mask, 30000, "s = 1.0", "too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subscripts_bind_the_last_dimensions),
		cmocka_unit_test(outputs_can_name_their_feature),
		cmocka_unit_test(brackets_divide_ints_rounding_down),
		cmocka_unit_test(vectors_substitute_without_capture),
		cmocka_unit_test(chunks_of_three_are_written_out),
		cmocka_unit_test(reductions_depend_on_their_masks),
		cmocka_unit_test(growth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
