/* Values: constants fold as the operations mean, identities vanish, types widen. */
#include "case.h"
#include <math.h>

typedef struct {
	arena *a;
	tile_program *p;
	tile_expr *n, *wide, *x, *flag; /* run-time values: i32, i64, f32, b1 */
} world;

static world world_create(void)
{
	world w = {.a = arena_create()};

	w.p = tile_program_create(w.a, "t", "sm_80", 1, NULL);
	w.n = tx_arg(w.p, tile_scalar(w.p, (loc){0}, "n", TILE_I32));
	w.wide = tx_arg(w.p, tile_scalar(w.p, (loc){0}, "wide", TILE_I64));
	w.x = tx_arg(w.p, tile_scalar(w.p, (loc){0}, "x", TILE_F32));
	w.flag = tx_2(w.p, TX_LT, w.n, tx_i32(w.p, 7));
	return w;
}

static int64_t fold_i(world *w, tile_expr_op op, int64_t a, int64_t b)
{
	tile_expr *x = tx_2(w->p, op, tx_i32(w->p, a), tx_i32(w->p, b));

	assert_int_equal(x->op, TX_CONST);
	return x->i;
}

static double fold_f(world *w, tile_expr_op op, double a, double b)
{
	tile_expr *x = tx_2(w->p, op, tx_f32(w->p, a), tx_f32(w->p, b));

	assert_int_equal(x->op, TX_CONST);
	return x->f;
}

static void test_integers(void **state)
{
	world w = world_create();

	(void)state;
	assert_int_equal(fold_i(&w, TX_DIV, -7, 2), -4);
	assert_int_equal(fold_i(&w, TX_DIV, 7, -2), -4);
	assert_int_equal(fold_i(&w, TX_DIV, 7, 0), 0);
	assert_int_equal(fold_i(&w, TX_DIV, INT32_MIN, -1), INT32_MIN);
	assert_int_equal(fold_i(&w, TX_MOD, -7, 3), 2);
	assert_int_equal(fold_i(&w, TX_MOD, 7, -3), -2);
	assert_int_equal(fold_i(&w, TX_MOD, 7, 0), 0);
	assert_int_equal(fold_i(&w, TX_ADD, INT32_MAX, 1), INT32_MIN);
	assert_int_equal(fold_i(&w, TX_MUL, 65536, 65537), 65536);
	assert_int_equal(fold_i(&w, TX_SHL, 1, 31), INT32_MIN);
	assert_int_equal(fold_i(&w, TX_SHR, -8, 1), -4);
	assert_int_equal(fold_i(&w, TX_LT, -1, 0), 1);
	assert_int_equal(fold_i(&w, TX_XOR, 5, 3), 6);
	/* a shift by too much has no value */
	assert_int_equal(tx_2(w.p, TX_SHL, tx_i32(w.p, 1), tx_i32(w.p, 32))->op, TX_SHL);
	arena_destroy(w.a);
}

static void test_floats(void **state)
{
	world w = world_create();

	(void)state;
	assert_true(tx_f32(w.p, 0.1)->f == (double)0.1f);
	assert_true(fold_f(&w, TX_ADD, 16777216, 1) == 16777216);
	assert_true(isinf(fold_f(&w, TX_DIV, 1, 0)));
	assert_true(fold_f(&w, TX_MIN, NAN, 3) == 3);
	assert_true(fold_f(&w, TX_MAX, 3, NAN) == 3);
	assert_true(tx_is_const(tx_2(w.p, TX_NE, tx_f32(w.p, NAN), tx_f32(w.p, NAN)), 1));
	assert_true(tx_is_const(tx_2(w.p, TX_LE, tx_f32(w.p, NAN), tx_f32(w.p, NAN)), 0));
	assert_true(tx_cvt(w.p, TILE_F32, tx_i32(w.p, 16777217))->f == 16777216);
	arena_destroy(w.a);
}

static void test_identities(void **state)
{
	world w = world_create();
	tile_program *p = w.p;
	tile_expr *sum;

	(void)state;
	assert_ptr_equal(tx_2(p, TX_ADD, w.n, tx_i32(p, 0)), w.n);
	assert_ptr_equal(tx_2(p, TX_ADD, tx_f32(p, 0), w.x), w.x);
	assert_ptr_equal(tx_2(p, TX_MUL, tx_f32(p, 1), w.x), w.x);
	assert_ptr_equal(tx_2(p, TX_DIV, w.n, tx_i32(p, 1)), w.n);
	assert_true(tx_is_const(tx_2(p, TX_MUL, w.n, tx_i32(p, 0)), 0));
	assert_int_equal(tx_2(p, TX_MUL, w.x, tx_f32(p, 0))->op, TX_MUL);
	assert_ptr_equal(tx_2(p, TX_AND, tx_bool(p, true), w.flag), w.flag);
	assert_true(tx_is_const(tx_2(p, TX_AND, w.flag, tx_bool(p, false)), 0));
	assert_true(tx_is_const(tx_2(p, TX_OR, w.flag, tx_bool(p, true)), 1));
	assert_ptr_equal(tx_1(p, TX_NOT, tx_1(p, TX_NOT, w.flag)), w.flag);
	assert_ptr_equal(tx_3(p, TX_SELECT, tx_bool(p, false), w.n, w.n), w.n);
	assert_ptr_equal(tx_3(p, TX_SELECT, w.flag, w.n, w.n), w.n);
	assert_ptr_equal(tx_cvt(p, TILE_I32, w.n), w.n);
	sum = tx_2(p, TX_ADD, tx_2(p, TX_ADD, w.n, tx_i32(p, 5)), tx_i32(p, -2));
	assert_ptr_equal(sum->arg[0], w.n);
	assert_true(tx_is_const(sum->arg[1], 3));
	arena_destroy(w.a);
}

static void test_i32_meets_i64(void **state)
{
	world w = world_create();
	tile_expr *x = tx_2(w.p, TX_MUL, w.n, w.wide);

	(void)state;
	assert_int_equal(x->type, TILE_I64);
	assert_int_equal(x->arg[0]->op, TX_CVT);
	assert_int_equal(tx_2(w.p, TX_LT, w.wide, w.n)->type, TILE_B1);
	assert_int_equal(tx_3(w.p, TX_SELECT, w.flag, w.n, w.wide)->type, TILE_I64);
	assert_int_equal(tx_2(w.p, TX_ADD, w.wide, tx_i32(w.p, 3))->arg[1]->type, TILE_I64);
	arena_destroy(w.a);
}

static void test_names_are_unique(void **state)
{
	world w = world_create();

	(void)state;
	assert_string_equal(tile_let(w.p, (loc){0}, "low", w.n)->name, "low");
	assert_string_equal(tile_let(w.p, (loc){0}, "low", w.n)->name, "low_2");
	assert_string_equal(tile_let(w.p, (loc){0}, "low", w.n)->name, "low_3");
	assert_string_equal(tile_let(w.p, (loc){0}, "row", w.n)->name, "row_2");
	assert_string_equal(tile_let(w.p, (loc){0}, "d'", w.n)->name, "d_");
	assert_string_equal(tile_let(w.p, (loc){0}, "", w.n)->name, "x_2");
	assert_string_equal(tile_let(w.p, (loc){0}, "2d", w.n)->name, "_2d");
	arena_destroy(w.a);
}

/* A chain in which every value is used twice is as long in text as in memory. */
static void test_shared_values_print_once(void **state)
{
	world w = world_create();
	tile_expr *x = w.x;
	const char *first, *second;
	tile_program *again;
	diags *d;

	(void)state;
	for (int i = 0; i < 200; i++)
		x = tx_3(w.p, TX_FMA, x, x, tx_f32(w.p, i * 0.1));
	tile_let(w.p, (loc){0}, "v", x);
	tile_note(w.p, " two\nlines ");
	first = case_print(w.a, w.p);
	assert_true(strlen(first) < 20000);
	again = case_parse(w.a, first, strlen(first), &d);
	if (!again)
		fail_msg("%s", case_messages(w.a, d));
	assert_null(case_verify(w.a, again));
	second = case_print(w.a, again);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "  ; two lines\n"));
	arena_destroy(w.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_i32_meets_i64),
		cmocka_unit_test(test_names_are_unique),
		cmocka_unit_test(test_shared_values_print_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
