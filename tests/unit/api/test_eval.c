/* test_eval: the reference against loops written by hand; tensors, rows, threads, estimate. */
#include "problem.h"

/* --- whole specs --- */

/* One row of MHA: x = (b, i, h) and output feature e. */
static double mha_row(const problem *p, const int64_t *x, int e, double *lse)
{
	const double *q = problem_data(p, "q"), *k = problem_data(p, "k"),
		     *v = problem_data(p, "v");
	int64_t N = 7, H = 4, G = 2, b = x[0], i = x[1], h = x[2], g = h / (H / G);
	double sum = 0, value = 0;

	for (int64_t j = i < 3 ? 0 : i - 3; j <= i; j++) {
		double s = 0;

		for (int d = 0; d < 5; d++)
			s += q[((b * N + i) * H + h) * 5 + d] * k[((b * N + j) * G + g) * 5 + d];
		s = exp(s / sqrt(5));
		sum += s;
		value += s * v[((b * N + j) * G + g) * 3 + e];
	}
	*lse = log(sum);
	return value / sum;
}

static void grouped_sliding_window_attention(void **state)
{
	problem *p = problem_make(MHA, "B=2,N=7,H=4,G=2");

	(void)state;
	assert_true(problem_run(p));
	for (int64_t n = 0; n < 2 * 7 * 4 * 3; n++) {
		int64_t x[3] = {n / 3 / 4 / 7, n / 3 / 4 % 7, n / 3 % 4};
		double lse, o = mha_row(p, x, (int)(n % 3), &lse);

		assert_near(problem_data(p, "o")[n], o);
		assert_near(problem_data(p, "lse")[(x[0] * 4 + x[2]) * 7 + x[1]], lse);
	}
	problem_free(p);
}

static void two_simplicial_with_mask_over_both_keys(void **state)
{
	problem *p = problem_make(
		"attention a(q : f32[i, D], k1 : f32[j, D], v1 : f32[j, D], k2 : f32[k, D],"
		" v2 : f32[k, D]) -> (o : f32[i, D]) {\n"
		"const D = 4\n index i, j, k : N\n"
		"window j in [i - 3, i]\n window k in [i - 2, i]\n"
		"mask (j + k) % 3 != 1\n mask i != 4\n mask k != 2\n"
		"s = sum(d) q[d] * k1[d] * k2[d]\n p = softmax(j, k) s\n o = sum(j, k) p * v1 * v2 "
		"}",
		"N=9");
	const double *q = problem_data(p, "q"), *k1 = problem_data(p, "k1"), *o;

	(void)state;
	assert_true(problem_run(p));
	o = problem_data(p, "o");
	for (int i = 0; i < 9; i++) {
		double sum = 0, value[4] = {0};

		for (int n = 0; n < 81 && i != 4; n++) {
			int j = n / 9, k = n % 9;
			double s = 0;

			if (j < i - 3 || j > i || k < i - 2 || k > i || (j + k) % 3 == 1 || k == 2)
				continue;
			for (int d = 0; d < 4; d++)
				s += q[i * 4 + d] * k1[j * 4 + d] *
				     problem_data(p, "k2")[k * 4 + d];
			sum += exp(s);
			for (int d = 0; d < 4; d++)
				value[d] += exp(s) * problem_data(p, "v1")[j * 4 + d] *
					    problem_data(p, "v2")[k * 4 + d];
		}
		for (int d = 0; d < 4; d++)
			assert_near(o[i * 4 + d], sum > 0 ? value[d] / sum : 0);
	}
	problem_free(p);
}

/* A softmax over j alone, for each k; features reduced in nested and joint sums. */
static void nested_reductions_without_row_form(void **state)
{
	problem *p =
		problem_make("attention a(q : f32[i, D], x : f32[j, D], w : f32[D, E], u : f32[k])"
			     " -> (o : f32[i, E]) {\n"
			     "const D = 3, E = 2\n index i, j, k : N\n window j in [0, i]\n"
			     "t[e] = sum(d) q[d] * w[d, e]\n"
			     "s = u[k] * sum(d, e : E) x[d] * w[d, e] + max(d) x[d]\n"
			     "p = softmax(j) s\n"
			     "c = sum(j) p * sum(e : E) t[e] * j\n"
			     "o[e] = t[e] * sum(k) c + min(d : D) (w[d, e] * t[e]) }",
			"N=4");
	const double *q = problem_data(p, "q"), *x = problem_data(p, "x"),
		     *w = problem_data(p, "w");
	const double *u = problem_data(p, "u");

	(void)state;
	assert_true(problem_run(p));
	for (int i = 0; i < 4; i++) {
		double t[2] = {0}, total = 0;

		for (int n = 0; n < 6; n++)
			t[n % 2] += q[i * 3 + n / 2] * w[n];
		for (int kk = 0; kk < 4; kk++) {
			double sum = 0, value = 0;

			for (int j = 0; j <= i; j++) {
				double s = 0,
				       most = fmax(x[j * 3], fmax(x[j * 3 + 1], x[j * 3 + 2]));

				for (int n = 0; n < 6; n++)
					s += x[j * 3 + n / 2] * w[n];
				s = exp(s * u[kk] + most);
				sum += s;
				value += s * (t[0] + t[1]) * j;
			}
			total += value / sum;
		}
		for (int e = 0; e < 2; e++) {
			double least = fmin(w[e] * t[e], fmin(w[2 + e] * t[e], w[4 + e] * t[e]));

			assert_near(problem_data(p, "o")[i * 2 + e], t[e] * total + least);
		}
	}
	problem_free(p);
}

/* The value of a score at one tuple against its maximum over all: both evaluate the same
 * expression. */
static void a_value_and_a_reduction_of_it_in_one_expression(void **state)
{
	problem *p = problem_make("attention a(q : f32[i], k : f32[j]) -> (o : f32[i]) {\n"
				  "index i, j : N\n s = q * k\n m = max(j) s\n"
				  "o = sum(j) (s - m) * (m - s) }",
		"N=5");
	const double *q = problem_data(p, "q"), *k = problem_data(p, "k");

	(void)state;
	assert_true(problem_run(p));
	for (int i = 0; i < 5; i++) {
		double most = -INFINITY, sum = 0;

		for (int j = 0; j < 5; j++)
			most = fmax(most, q[i] * k[j]);
		for (int j = 0; j < 5; j++)
			sum -= (q[i] * k[j] - most) * (q[i] * k[j] - most);
		assert_near(problem_data(p, "o")[i], sum);
	}
	problem_free(p);
}

static void softmax_for_each_feature(void **state)
{
	problem *p = problem_make("attention a(q : f32[i, E], k : f32[j, E], v : f32[j, E])"
				  " -> (o : f32[i, E]) {\n const E = 3\n index i, j : N\n"
				  "o[e] = sum(j) (softmax(j) q[e] * k[e]) * v[e] }",
		"N=4");
	const double *q = problem_data(p, "q"), *k = problem_data(p, "k"),
		     *v = problem_data(p, "v");

	(void)state;
	assert_true(problem_run(p));
	for (int n = 0; n < 12; n++) {
		double sum = 0, value = 0;

		for (int j = 0; j < 4; j++) {
			double x = exp(q[n] * k[j * 3 + n % 3]);

			sum += x;
			value += x * v[j * 3 + n % 3];
		}
		assert_near(problem_data(p, "o")[n], value / sum);
	}
	problem_free(p);
}

/* --- tensors --- */

#define COPY                                                                                       \
	"attention a(x : f32[i]) -> (y : f32[i]) {\n index i : N\n index j : M\n y = max(j) x }"

/* Each of the 65536 values of a 16-bit type comes back as it went in. */
static void sixteen_bit_floats_round_trip(void **state)
{
	static const sema_dtype types[] = {DTYPE_F16, DTYPE_BF16};
	problem *p = problem_make(COPY, "N=65536,M=1");
	uint16_t *x = p->tensor[0].data, *y = p->tensor[1].data;

	(void)state;
	for (int t = 0; t < 2; t++) {
		int mantissa = types[t] == DTYPE_F16 ? 10 : 7;

		p->tensor[0].dtype = p->tensor[1].dtype = types[t];
		for (int n = 0; n < 65536; n++)
			x[n] = (uint16_t)n;
		assert_true(problem_run(p));
		for (int n = 0; n < 65536; n++) {
			bool top = (n & 0x7fff) >> mantissa == 0x7fff >> mantissa;

			if (top && n & ((1 << mantissa) - 1))
				assert_true((y[n] & 0x7fff) >> mantissa == 0x7fff >> mantissa);
			else
				assert_int_equal(y[n], n);
		}
	}
	problem_free(p);
}

static void outputs_round_once_to_nearest_even(void **state)
{
	static const struct {
		double x;
		uint16_t f16, bf16;
	} test[] = {
		{1.0, 0x3c00, 0x3f80},
		{1 + 0x1p-11, 0x3c00, 0x3f80},           /* tie to even in f16 */
		{1 + 0x1p-11 + 0x1p-40, 0x3c01, 0x3f80}, /* not a tie: no rounding to f32 before */
		{1 + 3 * 0x1p-11, 0x3c02, 0x3f80},
		{1 + 0x1p-8, 0x3c04, 0x3f80}, /* tie to even in bf16 */
		{1 + 0x1p-8 + 0x1p-40, 0x3c04, 0x3f81},
		{65519.99, 0x7bff, 0x4780},
		{65520, 0x7c00, 0x4780},
		{-0.0, 0x8000, 0x8000},
		{0x1p-25, 0x0000, 0x3300},
		{0x1.8p-25, 0x0001, 0x3340},
		{3.4e38, 0x7c00, 0x7f80},
		{1e-45, 0x0000, 0x0000},
		{-1e308, 0xfc00, 0xff80},
	};
	problem *p = problem_make(COPY, "N=14,M=1");

	(void)state;
	for (int n = 0; n < 14; n++)
		problem_data(p, "x")[n] = test[n].x;
	for (int t = 0; t < 2; t++) {
		p->tensor[1].dtype = t ? DTYPE_BF16 : DTYPE_F16;
		assert_true(problem_run(p));
		for (int n = 0; n < 14; n++)
			assert_int_equal(
				((uint16_t *)p->tensor[1].data)[n], t ? test[n].bf16 : test[n].f16);
	}
	problem_free(p);
}

static void strides_of_any_sign(void **state)
{
	problem *plain = problem_make(MHA, "B=2,N=7,H=4,G=2");
	problem *turned = problem_make(MHA, "B=2,N=7,H=4,G=2");
	int k = problem_find(turned, "k"), o = problem_find(turned, "o");
	int64_t last = turned->count[k] - 1;
	double *data = turned->tensor[k].data;

	(void)state;
	for (int64_t n = 0; n <= last / 2; n++) { /* reversed in memory, so in strides */
		double x = data[n];

		data[n] = data[last - n];
		data[last - n] = x;
	}
	turned->tensor[k].data = data + last;
	for (int d = 0; d < 4; d++)
		turned->tensor[k].stride[d] *= -1;
	turned->tensor[o].stride[3] = 2 * 7 * 4; /* features outermost */
	for (int d = 0; d < 3; d++)
		turned->tensor[o].stride[d] /= 3;
	assert_true(problem_run(plain) && problem_run(turned));
	for (int64_t n = 0; n < plain->count[o]; n++)
		assert_true(problem_data(plain, "o")[n] ==
			    problem_data(turned, "o")[n / 3 + n % 3 * 2 * 7 * 4]);
	turned->tensor[k].data = data;
	problem_free(plain);
	problem_free(turned);
}

/* --- rows, threads, estimate --- */

static void only_the_rows_asked_for(void **state)
{
	problem *all = problem_make(MHA, "B=2,N=7,H=4,G=2"),
		*some = problem_make(MHA, "B=2,N=7,H=4,G=2");
	static const int64_t rows[] = {3, 55, 20};

	(void)state;
	some->args.row = rows;
	some->args.rows = 3;
	assert_true(problem_run(all) && problem_run(some));
	assert_int_equal(eval_row_count(&all->args), 56);
	for (int64_t n = 0; n < 56 * 3; n++) { /* rows are (b, h, i), o is (b, i, h, e) */
		int64_t row = (n / 84 * 4 + n / 3 % 4) * 7 + n / 12 % 7;
		bool wanted = row == 3 || row == 55 || row == 20;

		assert_true(
			problem_data(some, "o")[n] == (wanted ? problem_data(all, "o")[n] : 777));
	}
	problem_free(all);
	problem_free(some);
}

static void results_do_not_depend_on_threads(void **state)
{
	problem *one = problem_make(MHA, "B=3,N=40,H=4,G=2"),
		*four = problem_make(MHA, "B=3,N=40,H=4,G=2");

	(void)state;
	one->args.threads = 1;
	four->args.threads = 4;
	assert_true(problem_run(one) && problem_run(four));
	assert_memory_equal(problem_data(one, "o"), problem_data(four, "o"), 3 * 40 * 4 * 3 * 8);
	problem_free(one);
	problem_free(four);
}

static void an_output_without_data_is_not_computed(void **state)
{
	problem *p = problem_make(ONE, "N=3");
	void *data = p->tensor[3].data;

	(void)state;
	p->tensor[3].data = NULL;
	assert_true(problem_run(p));
	assert_true(problem_data(p, "lse")[0] != 777);
	p->tensor[3].data = data;
	problem_free(p);
}

static void note_progress(void *user, double done)
{
	double *last = user;

	assert_true(done > *last && done <= 1);
	*last = done;
}

static void progress_rises_to_the_end(void **state)
{
	problem *p = problem_make(MHA, "B=1,N=60,H=4,G=2");
	double last = 0;

	(void)state;
	p->args.threads = 1;
	p->args.progress = note_progress;
	p->args.progress_user = &last;
	assert_true(problem_run(p));
	assert_true(last == 1);
	problem_free(p);
}

static void bounds_as_integers(void **state)
{
	problem *p = problem_make(ONE, "N=9");
	const sema_window *w = &p->spec->key.item[0]->window;
	int64_t coord[SEMA_MAX_AXES] = {0};

	(void)state;
	p->param_int[0] = 5;
	coord[p->spec->query->id] = 7;
	assert_int_equal(eval_int(&p->args, w->first, coord), 3);
	assert_int_equal(eval_int(&p->args, w->last, coord), 7);
	problem_free(p);
}

static void estimate_grows_with_the_work(void **state)
{
	problem *p = problem_make(MHA, "B=1,N=64,H=4,G=2");
	double small, large;

	(void)state;
	p->args.tensor = NULL;
	small = eval_estimate(&p->args);
	p->length[1] = 6400; /* N: the window keeps the work per row */
	large = eval_estimate(&p->args);
	assert_true(small > 1e-6 && small < 1);
	assert_true(large > 80 * small && large < 120 * small);
	problem_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grouped_sliding_window_attention),
		cmocka_unit_test(two_simplicial_with_mask_over_both_keys),
		cmocka_unit_test(nested_reductions_without_row_form),
		cmocka_unit_test(a_value_and_a_reduction_of_it_in_one_expression),
		cmocka_unit_test(softmax_for_each_feature),
		cmocka_unit_test(sixteen_bit_floats_round_trip),
		cmocka_unit_test(outputs_round_once_to_nearest_even),
		cmocka_unit_test(strides_of_any_sign),
		cmocka_unit_test(only_the_rows_asked_for),
		cmocka_unit_test(results_do_not_depend_on_threads),
		cmocka_unit_test(an_output_without_data_is_not_computed),
		cmocka_unit_test(progress_rises_to_the_end),
		cmocka_unit_test(bounds_as_integers),
		cmocka_unit_test(estimate_grows_with_the_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
