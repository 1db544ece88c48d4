/* test_expr: folding, substitution, comparison and printing of expressions. */
#include "spec.h"

#define NOWHERE ((loc){0, 0})

typedef struct {
	arena *a;
	sema_spec *s;
	sema_axis *d, *e, *j;
} fixture;

static int set_up(void **state)
{
	fixture *f = calloc(1, sizeof *f);
	diags *d;

	f->a = arena_create();
	f->s = spec_check(
		f->a, SPEC("s = sum(d) q[d] * k[d]\np = softmax(j) s\no = sum(j) p * v\n"), &d);
	assert_non_null(f->s);
	f->d = sema_feature(f->s, NOWHERE, "x", 8);
	f->e = sema_feature(f->s, NOWHERE, "y", 8);
	f->j = f->s->key.item[0];
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture *f = *state;

	arena_destroy(f->a);
	free(f);
	return 0;
}

static expr *integer(fixture *f, int64_t v)
{
	return expr_int(f->s, NOWHERE, v);
}

static expr *coord(fixture *f, sema_axis *a)
{
	return expr_coord(f->s, NOWHERE, a);
}

static expr *binary(fixture *f, expr_op op, expr *x, expr *y)
{
	return expr_binary(f->s, NOWHERE, op, x, y);
}

static expr *sum(fixture *f, sema_axis *a, expr *body)
{
	return expr_reduce(f->s, NOWHERE, EXPR_REDUCE, REDUCE_SUM, &a, 1, body, NULL);
}

static void check_print(fixture *f, const expr *e, const char *expected)
{
	assert_string_equal(spec_print(f->a, e), expected);
}

static void ints_fold_with_floor_semantics(void **state)
{
	static const struct {
		expr_op op;
		int64_t x, y, value;
	} cases[] = {{EXPR_IDIV, -1, 3, -1}, {EXPR_IDIV, 7, -2, -4}, {EXPR_IDIV, 5, 0, 0},
		{EXPR_MOD, -1, 3, 2}, {EXPR_MOD, 7, -2, -1}, {EXPR_MOD, 5, 0, 0},
		{EXPR_MOD, INT64_MIN, -1, 0}, {EXPR_MIN, 2, -3, -3}, {EXPR_MAX, 2, -3, 2},
		{EXPR_SUB, 2, 5, -3}};

	for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
		const expr *e = binary(*state, cases[n].op, integer(*state, cases[n].x),
			integer(*state, cases[n].y));

		assert_int_equal(e->op, EXPR_CONST_INT);
		assert_int_equal(e->i, cases[n].value);
	}
}

static void overflow_is_not_folded(void **state)
{
	assert_int_equal(
		binary(*state, EXPR_ADD, integer(*state, INT64_MAX), integer(*state, 1))->op,
		EXPR_ADD);
	assert_int_equal(
		binary(*state, EXPR_IDIV, integer(*state, INT64_MIN), integer(*state, -1))->op,
		EXPR_IDIV);
	assert_int_equal(
		expr_unary(((fixture *)*state)->s, NOWHERE, EXPR_NEG, integer(*state, INT64_MIN))
			->op,
		EXPR_NEG);
}

static void sums_of_constants_collect(void **state)
{
	fixture *f = *state;
	expr *x = coord(f, f->j);

	check_print(f, binary(f, EXPR_SUB, binary(f, EXPR_ADD, x, integer(f, 3)), integer(f, 5)),
		"j - 2");
	check_print(
		f, binary(f, EXPR_ADD, binary(f, EXPR_SUB, x, integer(f, 3)), integer(f, 3)), "j");
	check_print(f, binary(f, EXPR_ADD, x, integer(f, -1)), "j - 1");
}

static void ints_convert_where_they_meet_floats(void **state)
{
	fixture *f = *state;
	expr *e = binary(f, EXPR_DIV, coord(f, f->j), integer(f, 2));

	assert_int_equal(e->type, TYPE_FLOAT);
	assert_int_equal(e->arg[0]->op, EXPR_TO_FLOAT);
	assert_int_equal(e->arg[1]->op, EXPR_CONST_FLOAT);
	assert_int_equal(binary(f, EXPR_MUL, coord(f, f->j), integer(f, 2))->type, TYPE_INT);
}

static void conditions_fold_in_where_and_logic(void **state)
{
	fixture *f = *state;
	expr *yes = binary(f, EXPR_LT, integer(f, 1), integer(f, 2));
	expr *open = binary(f, EXPR_LT, coord(f, f->j), integer(f, 2));
	bool v;

	assert_true(expr_const_bool(yes, &v) && v);
	assert_ptr_equal(binary(f, EXPR_AND, yes, open), open);
	assert_ptr_equal(binary(f, EXPR_OR, open, yes), yes);
	check_print(f, expr_where(f->s, NOWHERE, yes, coord(f, f->j), integer(f, 0)), "j");
	check_print(f,
		expr_where(f->s, NOWHERE, open, coord(f, f->j), expr_float(f->s, NOWHERE, 0)),
		"where(j < 2, j, 0.0)");
}

static void poison_spreads(void **state)
{
	fixture *f = *state;
	expr *p = expr_poison(f->s, NOWHERE);

	assert_int_equal(binary(f, EXPR_ADD, p, integer(f, 1))->type, TYPE_POISON);
	assert_int_equal(sum(f, f->d, p)->type, TYPE_POISON);
	assert_int_equal(
		expr_where(f->s, NOWHERE, p, integer(f, 1), integer(f, 2))->type, TYPE_POISON);
}

static void substitution_avoids_capture(void **state)
{
	fixture *f = *state;
	/* sum(y) x * y with x := y must not bind the new y */
	expr *e = sum(f, f->e, binary(f, EXPR_MUL, coord(f, f->d), coord(f, f->e)));
	expr *r = expr_substitute(f->s, e, f->d, coord(f, f->e));

	assert_true(expr_depends(r, f->e));
	assert_false(expr_depends(r, f->d));
	check_print(f, r, "sum(y_2) y * y_2");
}

static void substitution_is_simultaneous(void **state)
{
	fixture *f = *state;
	expr *x = coord(f, f->d), *y = coord(f, f->e);
	sema_axis *const axis[] = {f->d, f->e};
	expr *const with[] = {y, x};

	check_print(
		f, expr_substitute_all(f->s, binary(f, EXPR_SUB, x, y), 2, axis, with), "y - x");
	check_print(f,
		expr_substitute_all(f->s, sum(f, f->d, binary(f, EXPR_SUB, x, y)), 2, axis, with),
		"sum(x_2) (x_2 - x)");
}

static void substitution_shares_definitions(void **state)
{
	fixture *f = *state;
	sema_def *def = ARENA_NEW(f->a, sema_def);
	expr *value = coord(f, f->d), *r;

	/* 64 doublings: 2^64 nodes unless each definition is rewritten once */
	for (int n = 0; n < 64; n++) {
		*def = (sema_def){.name = "s", .value = value};
		value = binary(
			f, EXPR_ADD, expr_def(f->s, NOWHERE, def), expr_def(f->s, NOWHERE, def));
		def = ARENA_NEW(f->a, sema_def);
	}
	assert_int_equal(value->size, 3);
	r = expr_substitute(f->s, value, f->d, integer(f, 3));
	assert_false(expr_depends(r, f->d));
}

static void equality_ignores_names_of_bound_axes(void **state)
{
	fixture *f = *state;
	expr *x = coord(f, f->d), *y = coord(f, f->e), *one = integer(f, 1);

	assert_true(expr_equal(sum(f, f->d, binary(f, EXPR_ADD, x, one)),
		sum(f, f->e, binary(f, EXPR_ADD, y, one))));
	assert_false(expr_equal(
		sum(f, f->d, binary(f, EXPR_ADD, x, y)), sum(f, f->e, binary(f, EXPR_ADD, y, y))));
	assert_false(expr_equal(
		sum(f, f->d, binary(f, EXPR_MUL, x, y)), sum(f, f->e, binary(f, EXPR_MUL, x, y))));
	assert_false(expr_equal(x, y));
}

static void groups_depend_on_their_row(void **state)
{
	fixture *f = *state;

	for (int k = 0; k < f->s->axis.count; k++)
		if (f->s->axis.item[k]->kind == AXIS_GROUP)
			assert_true(
				expr_depends(coord(f, f->s->axis.item[k]), f->s->axis.item[k]->of));
}

static void sums_bind_and_softmax_does_not(void **state)
{
	fixture *f = *state;
	const sema_def *p = f->s->def.item[1], *o = f->s->def.item[2];

	assert_true(expr_depends(p->value, f->j));
	assert_false(expr_depends(o->value, f->j));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ints_fold_with_floor_semantics, set_up, tear_down),
		cmocka_unit_test_setup_teardown(overflow_is_not_folded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sums_of_constants_collect, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			ints_convert_where_they_meet_floats, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			conditions_fold_in_where_and_logic, set_up, tear_down),
		cmocka_unit_test_setup_teardown(poison_spreads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(substitution_avoids_capture, set_up, tear_down),
		cmocka_unit_test_setup_teardown(substitution_is_simultaneous, set_up, tear_down),
		cmocka_unit_test_setup_teardown(substitution_shares_definitions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			equality_ignores_names_of_bound_axes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(groups_depend_on_their_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sums_bind_and_softmax_does_not, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
