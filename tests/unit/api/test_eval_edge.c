/* test_eval_edge: the reference where there is nothing to see, too much, or no number; subscripts
 * out of range; arithmetic. */
#include "problem.h"

/* --- edges --- */

static void a_row_without_keys_is_zero(void **state)
{
	problem *p = problem_make(ONE, "N=3");

	(void)state;
	p->param_int[0] = 0;
	assert_true(problem_run(p));
	for (int i = 0; i < 3; i++) {
		assert_true(problem_data(p, "o")[i] == 0);
		assert_true(problem_data(p, "lse")[i] == -INFINITY);
	}
	problem_free(p);
}

static void a_sink_takes_its_share_and_is_the_lse_of_an_empty_row(void **state)
{
	problem *p = problem_make(
		"attention a(q : f32[i], k : f32[j], z : f32[]) -> (o : f32[i], lse : f32[i]) {\n"
		"index i, j : N\n mask j < i\n s = q * k\n p = softmax(j) s with z\n"
		"o = sum(j) p\n lse = logsumexp(j) s with z }",
		"N=4");
	const double *q = problem_data(p, "q"), *k = problem_data(p, "k");
	double z = exp(problem_data(p, "z")[0]);

	(void)state;
	assert_true(problem_run(p));
	for (int i = 0; i < 4; i++) {
		double sum = 0;

		for (int j = 0; j < i; j++)
			sum += exp(q[i] * k[j]);
		assert_near(problem_data(p, "o")[i], sum / (sum + z));
		assert_near(problem_data(p, "lse")[i], log(sum + z));
	}
	problem_free(p);
}

static void scores_of_minus_infinity_weigh_nothing(void **state)
{
	problem *p = problem_make("attention a(k : f32[j], v : f32[j], q : f32[i])"
				  " -> (o : f32[i], lse : f32[i]) {\n index i, j : N\n"
				  "s = where(j < i, q * k, log(0.0 * q))\n p = softmax(j) s\n"
				  "o = sum(j) p * v\n lse = logsumexp(j) s }",
		"N=3");

	(void)state;
	for (int i = 0; i < 3; i++)
		problem_data(p, "q")[i] = 1;
	assert_true(problem_run(p));
	assert_true(problem_data(p, "o")[0] == 0);
	assert_true(problem_data(p, "lse")[0] == -INFINITY);
	assert_near(problem_data(p, "o")[1], problem_data(p, "v")[0]);
	assert_near(problem_data(p, "lse")[1], problem_data(p, "k")[0]);
	problem_free(p);
}

static void nan_spreads_from_visible_keys_only(void **state)
{
	problem *p = problem_make(ONE, "N=6"); /* row i sees i - 1 and i */

	(void)state;
	problem_data(p, "k")[2] = NAN;
	problem_data(p, "v")[5] = INFINITY;
	assert_true(problem_run(p));
	for (int i = 0; i < 6; i++) {
		bool sees = i == 2 || i == 3;

		assert_int_equal(isnan(problem_data(p, "lse")[i]), sees);
		assert_int_equal(isnan(problem_data(p, "o")[i]), sees);
		assert_int_equal(isinf(problem_data(p, "o")[i]), i == 5);
	}
	problem_free(p);
}

static void an_infinite_score_makes_its_row_nan(void **state)
{
	problem *p = problem_make(ONE, "N=3");

	(void)state;
	problem_data(p, "q")[1] = 1;
	problem_data(p, "k")[1] = INFINITY;
	problem_data(p, "q")[2] = -1; /* row 2: -inf, weighs nothing */
	assert_true(problem_run(p));
	assert_false(isnan(problem_data(p, "o")[0]));
	assert_true(isnan(problem_data(p, "o")[1]) && isnan(problem_data(p, "lse")[1]));
	assert_near(problem_data(p, "o")[2], problem_data(p, "v")[2]);
	problem_free(p);
}

static void huge_scores_do_not_overflow(void **state)
{
	problem *p = problem_make(ONE, "N=2");

	(void)state;
	for (int i = 0; i < 2; i++) {
		problem_data(p, "q")[i] = 1e4;
		problem_data(p, "k")[i] = 1e4;
	}
	assert_true(problem_run(p));
	assert_near(
		problem_data(p, "o")[1], (problem_data(p, "v")[0] + problem_data(p, "v")[1]) / 2);
	assert_near(problem_data(p, "lse")[1], 1e8 + log(2));
	problem_free(p);
}

static void any_length_may_be_zero(void **state)
{
	static const char *const lengths[] = {
		"B=0,N=7,H=4,G=2", "B=2,N=0,H=4,G=2", "B=2,N=3,H=0,G=0"};

	(void)state;
	for (int n = 0; n < 3; n++) {
		problem *p = problem_make(MHA, lengths[n]);

		assert_true(problem_run(p));
		assert_int_equal(eval_row_count(&p->args), 0);
		problem_free(p);
	}
}

static void no_keys_at_all(void **state)
{
	problem *p = problem_make("attention a(q : f32[i], k : f32[j]) -> (o : f32[i], m : f32[i],"
				  " x : f32[i]) {\n index i : N\n index j : M\n"
				  "o = sum(j) k * q\n m = max(j) k\n x = prod(j) k * q }",
		"N=2,M=0");

	(void)state;
	assert_true(problem_run(p));
	assert_true(problem_data(p, "o")[1] == 0);
	assert_true(problem_data(p, "m")[1] == -INFINITY);
	assert_true(problem_data(p, "x")[1] == 1);
	problem_free(p);
}

static void lengths_that_do_not_divide_are_refused(void **state)
{
	problem *p = problem_make(MHA, "B=1,N=2,H=4,G=3");

	(void)state;
	assert_false(problem_run(p));
	assert_string_equal(p->error, "H = 4 is not a multiple of G = 3");
	problem_free(p);
}

/* --- subscripts --- */

static void a_subscript_out_of_range_is_reported_with_its_place(void **state)
{
	problem *p = problem_make("attention a(q : f32[i], k : f32[j], bias : f32[5])"
				  " -> (o : f32[i]) {\n index i, j : N\n window j in [0, i]\n"
				  "o = sum(j) k * q * bias[i - j] }",
		"N=200");

	(void)state;
	for (p->args.threads = 1; p->args.threads < 5; p->args.threads++) {
		assert_false(problem_run(p));
		assert_string_equal(p->error,
			"subscript 1 of 'bias' is 5, outside [0, 5), in row 5 "
			"(i = 5, j = 0)");
	}
	problem_free(p);
}

static void where_guards_a_subscript(void **state)
{
	problem *p = problem_make(
		"attention a(q : f32[i, D], seg : i32[N], k : f32[j]) -> (o : f32[i, D]) {\n"
		"const D = 4\n index i, j : N\n"
		"mask i > 0 and seg[i - 1] == 0 or i == 0\n"
		"o[d] = sum(j) k * where(d < D - 1 and q[min(d + 1, 3)] > 0, q[d + 1], 10)"
		" + where(i + 1 < N, seg[i + 1], 0) }",
		"N=5");
	const double *q = problem_data(p, "q");
	double sum = 0;

	(void)state;
	for (int j = 0; j < 5; j++)
		sum += problem_data(p, "k")[j];
	problem_ints(p, "seg")[4] = 3;
	if (!problem_run(p))
		fail_msg("%s", p->error);
	for (int n = 0; n < 20; n++) {
		double x = n % 4 < 3 && q[n + 1] > 0 ? q[n + 1] : 10;

		assert_near(problem_data(p, "o")[n], sum * x + (n / 4 == 3 ? 3 : 0));
	}
	problem_free(p);
}

static void a_computed_lane_out_of_range_is_reported(void **state)
{
	problem *p = problem_make("attention a(q : f32[i, D], shift : i32[]) -> (o : f32[i]) {\n"
				  "const D = 4\n index i : N\n index j : M\n"
				  "o = sum(j) (sum(d : D) q[d + shift]) }",
		"N=2,M=1");

	(void)state;
	assert_true(problem_run(p));
	problem_ints(p, "shift")[0] = 1;
	assert_false(problem_run(p));
	assert_string_equal(p->error, "subscript 2 of 'q' is 4, outside [0, 4), in row 0 (i = 0)");
	problem_free(p);
}

/* --- numbers --- */

static void integers_divide_towards_minus_infinity(void **state)
{
	problem *p = problem_make("attention a(x : i32[i], y : i32[i])"
				  " -> (quotient : f32[i], rest : f32[i]) {\n index i : N\n"
				  "index j : M\n quotient = sum(j) float(x // y)\n"
				  "rest = sum(j) float(x % y) }",
		"N=6,M=1");
	static const int x[] = {7, -7, 7, -7, 5, -1}, y[] = {2, 2, -2, -2, 0, 3};
	static const double quotient[] = {3, -4, -4, 3, 0, -1}, rest[] = {1, 1, -1, -1, 0, 2};

	(void)state;
	memcpy(problem_ints(p, "x"), x, sizeof x);
	memcpy(problem_ints(p, "y"), y, sizeof y);
	assert_true(problem_run(p));
	for (int i = 0; i < 6; i++) {
		assert_near(problem_data(p, "quotient")[i], quotient[i]);
		assert_near(problem_data(p, "rest")[i], rest[i]);
	}
	problem_free(p);
}

static void every_function(void **state)
{
	problem *p = problem_make(
		"attention a(x : f32[i], y : f32[i]) -> (o : f32[i, E]) {\n"
		"const E = 14\n index i : N\n index j : M\n"
		"o[e] = max(j) where(e == 0, exp(x), where(e == 1, log(abs(x)), where(e == 2, "
		"tanh(x),"
		"where(e == 3, sqrt(abs(x)), where(e == 4, sin(x), where(e == 5, cos(x),"
		"where(e == 6, pow(abs(x), y), where(e == 7, floor(x), where(e == 8, min(x, y, 0),"
		"where(e == 9, max(x, y), where(e == 10, -x, where(e == 11, x / y,"
		"where(e == 12, where(not x <= y or x == y, 1, 2), x - y))))))))))))) }",
		"N=3,M=1");

	(void)state;
	assert_true(problem_run(p));
	for (int i = 0; i < 3; i++) {
		double x = problem_data(p, "x")[i], y = problem_data(p, "y")[i];
		double wanted[] = {exp(x), log(fabs(x)), tanh(x), sqrt(fabs(x)), sin(x), cos(x),
			pow(fabs(x), y), floor(x), fmin(fmin(x, y), 0), fmax(x, y), -x, x / y,
			x > y ? 1 : 2, x - y};

		for (int e = 0; e < 14; e++)
			assert_near(problem_data(p, "o")[i * 14 + e], wanted[e]);
	}
	problem_free(p);
}

static void min_and_max_do_not_hide_nan(void **state)
{
	problem *p =
		problem_make("attention a(x : f32[i], k : f32[j]) -> (o : f32[i], m : f32[i]) {\n"
			     "index i, j : N\n o = max(x, 0) + min(0, x)\n m = max(j) k * x }",
			"N=2");

	(void)state;
	problem_data(p, "x")[0] = NAN;
	assert_true(problem_run(p));
	assert_true(isnan(problem_data(p, "o")[0]) && isnan(problem_data(p, "m")[0]));
	assert_false(isnan(problem_data(p, "o")[1]) || isnan(problem_data(p, "m")[1]));
	problem_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_without_keys_is_zero),
		cmocka_unit_test(a_sink_takes_its_share_and_is_the_lse_of_an_empty_row),
		cmocka_unit_test(scores_of_minus_infinity_weigh_nothing),
		cmocka_unit_test(nan_spreads_from_visible_keys_only),
		cmocka_unit_test(an_infinite_score_makes_its_row_nan),
		cmocka_unit_test(huge_scores_do_not_overflow),
		cmocka_unit_test(any_length_may_be_zero),
		cmocka_unit_test(no_keys_at_all),
		cmocka_unit_test(lengths_that_do_not_divide_are_refused),
		cmocka_unit_test(a_subscript_out_of_range_is_reported_with_its_place),
		cmocka_unit_test(where_guards_a_subscript),
		cmocka_unit_test(a_computed_lane_out_of_range_is_reported),
		cmocka_unit_test(integers_divide_towards_minus_infinity),
		cmocka_unit_test(every_function),
		cmocka_unit_test(min_and_max_do_not_hide_nan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
