/* Every shipped spec at small odd sizes: the simulated kernel has no fault and agrees with the
 * reference interpreter. */
#include "problem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNED(s, sizes, constants)                                                               \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants                                     \
	}
#define UNALIGNED(s, sizes, constants)                                                             \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .unaligned = true                  \
	}
#define WILD(s, sizes, constants, inputs)                                                          \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .wild = inputs                     \
	}
#define TALL(s, sizes, constants, w, tile)                                                         \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .warps = w, .warp_rows = 32,       \
		.key_tile = tile                                                                   \
	}
#define PLANNED(s, sizes, constants, odd, w, tile, keys, n)                                        \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .unaligned = odd, .warps = w,      \
		.key_tile = tile, .resident = keys, .slots = n                                     \
	}

/* Faults and the error against the reference of one case; prints what is wrong. */
static int check_all(const problem_case *c, int n)
{
	int bad = 0;

	for (int i = 0; i < n; i++)
		bad += !problem_check(&c[i], 2e-2);
	return bad;
}

#define CHECK(cases) assert_int_equal(check_all(cases, (int)(sizeof(cases) / sizeof *(cases))), 0)

static const char *const order_1[] = {"alibi", "alibi_slopes", "bias", "chunked", "cross_attention",
	"document", "gqa", "local", "logn", "mha", "mqa", "padded", "prefix_lm", "qk_norm",
	"relative", "retention", "sigmoid", "sink", "sliding_window", "softcap", "strided"};
static const char *const order_2[] = {"determinant", "pairwise", "rank_one", "two_simplicial",
	"two_simplicial_biased", "two_simplicial_cross"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Head dimensions that are multiples of 8: 16-byte copies. */
static void aligned_order_1(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(order_1); i++)
		bad += !problem_check(
			&(problem_case)ALIGNED(order_1[i], "B=2,N=67,M=35,H=6,G=2", "D=48"), 2e-2);
	assert_int_equal(bad, 0);
}

/* Odd head dimensions, odd strides: every operand element by element. */
static void unaligned_order_1(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(order_1); i++)
		bad += !problem_check(
			&(problem_case)UNALIGNED(order_1[i], "B=2,N=67,M=35,H=6,G=2", "D=33"),
			2e-2);
	assert_int_equal(bad, 0);
}

static void aligned_order_2(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(order_2); i++)
		bad += !problem_check(
			&(problem_case)ALIGNED(order_2[i], "B=2,N=67,M=35,H=6,G=2", "D=48"), 2e-2);
	assert_int_equal(bad, 0);
}

static void unaligned_order_2(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(order_2); i++)
		bad += !problem_check(
			&(problem_case)UNALIGNED(order_2[i], "B=1,N=35,M=19,H=6,G=2", "D=33"),
			2e-2);
	assert_int_equal(bad, 0);
}

/* Other constants, order 3, f16, D = 128. */
static void other_forms(void **state)
{
	static const problem_case cases[] = {
		ALIGNED("rope", "B=2,N=35,H=6,G=2", "D=48"),
		ALIGNED("mla", "B=1,N=35,H=3", "C=64,R=16"),
		UNALIGNED("mla", "B=1,N=19,H=3", "C=33,R=10"),
		ALIGNED("three_simplicial", "B=1,N=21,H=3,G=1", "D=48"),
		UNALIGNED("three_simplicial", "B=1,N=19,H=2,G=2", "D=33"),
		ALIGNED("mha", "B=1,N=131,H=2", "D=128,T=f16"),
		UNALIGNED("mha", "B=1,N=67,H=2", "D=33,E=80"),
		ALIGNED("two_simplicial", "B=1,N=35,H=4,G=2", "D=64,E=33,T=f16"),
	};

	(void)state;
	CHECK(cases);
}

/* Windows of odd sizes, empty ones, the wide one on either key. */
static void windows(void **state)
{
	static const problem_case cases[] = {
		ALIGNED("two_simplicial", "B=1,N=67,H=6,G=2", "D=33,W1=5,W2=37"),
		ALIGNED("two_simplicial", "B=1,N=67,H=6,G=2", "D=48,W1=37,W2=5"),
		ALIGNED("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=1,W2=1"),
		ALIGNED("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=7,W2=0"),
		ALIGNED("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=0,W2=7"),
		ALIGNED("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=-5,W2=7"),
		ALIGNED("two_simplicial", "B=1,N=299,H=1,G=1", "D=16,W1=2,W2=2147483647"),
		ALIGNED("two_simplicial", "B=1,N=45,H=3,G=1", "D=48,W1=2000000000,W2=2147483647"),
		ALIGNED("sliding_window", "B=1,N=131,H=4", "D=48,W=9"),
		ALIGNED("sliding_window", "B=1,N=131,H=4", "D=48,W=0"),
		ALIGNED("local", "B=1,N=131,H=3", "D=33,W=3"),
		ALIGNED("chunked", "B=1,N=131,H=3", "D=48,C=13"),
		ALIGNED("three_simplicial", "B=1,N=67,H=2,G=1", "D=33,W1=2,W2=3,W3=29"),
	};

	(void)state;
	CHECK(cases);
}

/* Fewer rows than a block, one row, none. */
static void short_sequences(void **state)
{
	static const problem_case cases[] = {
		ALIGNED("mha", "B=1,N=1,H=1", "D=33"),
		ALIGNED("mha", "B=2,N=3,H=2", "D=48"),
		ALIGNED("mha", "B=2,N=0,H=2", "D=48"),
		ALIGNED("mha", "B=0,N=7,H=2", "D=48"),
		ALIGNED("cross_attention", "B=1,N=7,M=0,H=2", "D=48"),
		ALIGNED("cross_attention", "B=1,N=1,M=131,H=2", "D=48"),
		UNALIGNED("cross_attention", "B=1,N=131,M=1,H=2", "D=33"),
		ALIGNED("two_simplicial", "B=1,N=1,H=2,G=2", "D=33"),
		ALIGNED("two_simplicial", "B=1,N=2,H=6,G=1", "D=48"),
		ALIGNED("two_simplicial_cross", "B=1,N=5,M=0,H=2,G=1", "D=48"),
	};

	(void)state;
	CHECK(cases);
}

/* NaN and infinities in the operands of scores: what a row does not see never reaches it. */
static void wild_operands(void **state)
{
	static const problem_case cases[] = {
		WILD("mha", "B=1,N=131,H=2", "D=48", "q"),
		WILD("mha", "B=1,N=131,H=2", "D=48", "k"),
		WILD("mha", "B=1,N=131,H=2", "D=48,T=f32", "q"),
		WILD("mha", "B=1,N=131,H=2", "D=48,T=f32", "v"),
		WILD("cross_attention", "B=1,N=67,M=131,H=2", "D=48,T=f32", "v"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=33,T=f32,W1=70,W2=0", "v1 v2"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "q"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "k1"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "k2"),
		WILD("mha", "B=1,N=131,H=2", "D=48", "v"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "v1"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "v2"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=33,W1=70,W2=0", "v1 v2"),
		WILD("three_simplicial", "B=1,N=13,H=1,G=1", "D=17,W1=2,W2=2,W3=5", "v1 v2 v3"),
		WILD("document", "B=1,N=131,H=2", "D=48", "v"),
		WILD("padded", "B=2,N=67,H=2", "D=48", "v"),
		WILD("retention", "B=1,N=131,H=2", "D=48", "v"),
		WILD("strided", "B=1,N=67,H=2", "D=33", "v"),
	};

	(void)state;
	CHECK(cases);
}

/* Outputs without data are not computed, and the others are the same. */
static void outputs_left_out(void **state)
{
	for (int only = 0; only < 2; only++) {
		problem p;
		sim_report r;
		int wanted, o;

		assert_true(problem_open(&p,
			&(problem_case){.spec = "mha", .dims = "B=1,N=67,H=2", .defines = "D=33"}));
		wanted = p.program->arg.count - 1;
		o = p.spec->inputs + only;
		assert_true(problem_simulate(&p, p.program, &r));
		problem_reference(&p);
		p.value[wanted].i = 1 << only;
		p.value[p.spec->inputs + 1 - only].tensor = (sim_tensor){0};
		memset(p.data[o], 0xff, 64);
		sim_report_free(&r);
		assert_true(sim_run(p.program, &p.args, &r));
		assert_true(problem_error(&p, (char[200]){0}, 200) < 1e-2);
		sim_report_free(&r);
		problem_close(&p);
	}
	(void)state;
}

/* Warps of 32 rows, also where the planner takes 16. */
static void tall_warps(void **state)
{
	static const problem_case cases[] = {
		TALL("mha", "B=1,N=131,H=2", "D=48", 2, 32),
		TALL("mha", "B=1,N=67,H=2", "D=33", 1, 16),
		TALL("document", "B=1,N=131,H=2", "D=48", 2, 48),
		TALL("two_simplicial", "B=1,N=67,H=4,G=2", "D=48,W1=5,W2=37", 2, 32),
		TALL("pairwise", "B=1,N=35,H=4,G=1", "D=33", 1, 32),
	};

	(void)state;
	CHECK(cases);
}

/* Plans other than the planner's: warps, key tiles, resident keys, slots. */
static void plans(void **state)
{
	static const problem_case cases[] = {
		PLANNED("mha", "B=1,N=131,H=2", "D=48", false, 1, 16, 16, 2),
		PLANNED("mha", "B=1,N=131,H=2", "D=48", false, 8, 32, 64, 1),
		PLANNED("mha", "B=1,N=131,H=2", "D=33", true, 2, 48, 96, 2),
		PLANNED("two_simplicial", "B=1,N=67,H=4,G=1", "D=48,W1=5", false, 1, 16, 48, 1),
		PLANNED("two_simplicial", "B=1,N=67,H=4,G=1", "D=48,W1=5", false, 3, 32, 32, 2),
		PLANNED("pairwise", "B=1,N=35,H=4,G=1", "D=48", false, 2, 32, 32, 2),
	};

	(void)state;
	CHECK(cases);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned_order_1),
		cmocka_unit_test(unaligned_order_1),
		cmocka_unit_test(aligned_order_2),
		cmocka_unit_test(unaligned_order_2),
		cmocka_unit_test(other_forms),
		cmocka_unit_test(windows),
		cmocka_unit_test(short_sequences),
		cmocka_unit_test(wild_operands),
		cmocka_unit_test(outputs_left_out),
		cmocka_unit_test(plans),
		cmocka_unit_test(tall_warps),
	};

	if (argc > 2)
		return !problem_check(&(problem_case){.spec = argv[1],
					      .dims = argv[2],
					      .defines = argc > 3 && argv[3][0] ? argv[3] : NULL,
					      .target = argc > 4 ? argv[4] : NULL},
			2e-2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
