/* Kernels of the wgmma family at small odd sizes: no fault in the simulator, and what the reference
 * interpreter computes; also where only the exact passes can. */
#include "problem.h"

#define HOPPER .target = "sm_90a", .family = GPU_WGMMA
#define PLAIN(s, sizes, constants)                                                                 \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, HOPPER                             \
	}
#define WILD(s, sizes, constants, inputs)                                                          \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .wild = inputs, HOPPER             \
	}
#define ODD(s, sizes, constants)                                                                   \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .unaligned = true, HOPPER          \
	}
#define LARGE(s, sizes, constants, factor)                                                         \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .scale = factor, HOPPER            \
	}

/* Warpgroups that share rows; rows that walk over their own windows. */
#define SPLIT "split = 2"
#define WALK "split = 2, walk = rows"
#define SHARED(s, sizes, constants, factor, inputs, settings)                                      \
	{                                                                                          \
		.spec = s, .dims = sizes, .defines = constants, .scale = factor, .wild = inputs,   \
		.choice = settings, HOPPER                                                         \
	}

static const char *const order_1[] = {"alibi", "alibi_slopes", "bias", "chunked", "cross_attention",
	"document", "gqa", "local", "logn", "mha", "mqa", "padded", "prefix_lm", "relative",
	"retention", "sigmoid", "sink", "sliding_window", "softcap", "strided"};
static const char *const order_2[] = {
	"two_simplicial", "two_simplicial_cross", "pairwise", "rank_one"};

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define CHECK(cases) assert_int_equal(check_all(cases, COUNT(cases), 2e-2), 0)

static int check_all(const problem_case *c, size_t n, double tolerance)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += !problem_check(&c[i], tolerance);
	return bad;
}

/* Every spec of the list, at sizes that are no multiple of anything. */
static int check_specs(const char *const *spec, size_t n, const char *dims, const char *defines)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += !problem_check(&(problem_case)PLAIN(spec[i], dims, defines), 2e-2);
	return bad;
}

static void specs_of_order_1(void **state)
{
	(void)state;
	assert_int_equal(check_specs(order_1, COUNT(order_1), "B=2,N=133,M=71,H=6,G=2", "D=48"), 0);
}

static void specs_of_order_2(void **state)
{
	(void)state;
	assert_int_equal(check_specs(order_2, COUNT(order_2), "B=1,N=37,M=35,H=6,G=2", "D=40"), 0);
}

static void other_specs(void **state)
{
	static const problem_case cases[] = {
		PLAIN("mla", "B=1,N=35,H=3", "C=64,R=16"),
		PLAIN("three_simplicial", "B=1,N=21,H=3,G=1", "D=40"),
		PLAIN("mha", "B=1,N=131,H=2", "D=128,T=f16"),
		PLAIN("mha", "B=1,N=67,H=2", "D=24,E=80"),
		PLAIN("two_simplicial", "B=1,N=35,H=4,G=2", "D=64,E=40,T=f16"),
	};

	(void)state;
	CHECK(cases);
}

/* More outer positions than are staged at a time; more keys than a block has. */
static void several_chunks(void **state)
{
	static const problem_case cases[] = {
		PLAIN("two_simplicial", "B=1,N=75,H=2,G=1", "D=16,W1=67,W2=70"),
		PLAIN("two_simplicial", "B=1,N=301,H=1,G=1", "D=16,W1=35,W2=299"),
		PLAIN("two_simplicial_cross", "B=1,N=5,M=71,H=2,G=1", "D=48"),
		PLAIN("three_simplicial", "B=1,N=43,H=2,G=1", "D=16,W1=2,W2=37,W3=41"),
		PLAIN("mha", "B=1,N=601,H=1", "D=48"),
	};

	(void)state;
	CHECK(cases);
}

/* No multiples of 64; empty rows; fewer rows than a block, none. */
static void windows(void **state)
{
	static const problem_case cases[] = {
		PLAIN("two_simplicial", "B=1,N=67,H=6,G=2", "D=48,W1=37,W2=5"),
		PLAIN("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=1,W2=1"),
		PLAIN("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=7,W2=0"),
		PLAIN("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=0,W2=7"),
		PLAIN("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=-5,W2=7"),
		PLAIN("two_simplicial", "B=1,N=299,H=1,G=1", "D=16,W1=2,W2=2147483647"),
		PLAIN("sliding_window", "B=1,N=331,H=2", "D=48,W=77"),
		PLAIN("sliding_window", "B=1,N=131,H=4", "D=48,W=0"),
		PLAIN("local", "B=1,N=131,H=3", "D=40,W=3"),
		PLAIN("chunked", "B=1,N=131,H=3", "D=48,C=13"),
		PLAIN("sink", "B=1,N=331,H=2", "D=48"),
		PLAIN("mha", "B=1,N=1,H=1", "D=40"),
		PLAIN("mha", "B=2,N=0,H=2", "D=48"),
		PLAIN("cross_attention", "B=1,N=7,M=0,H=2", "D=48"),
		PLAIN("cross_attention", "B=1,N=131,M=1,H=2", "D=48"),
		PLAIN("two_simplicial", "B=1,N=2,H=6,G=1", "D=48"),
		PLAIN("two_simplicial_cross", "B=1,N=5,M=0,H=2,G=1", "D=48"),
	};

	(void)state;
	CHECK(cases);
}

/* Weights beyond the range of f32 without a running maximum: the exact pass. Queries are exact
 * there; A of two factors is rounded to bf16, which large scores show. */
static void large_scores(void **state)
{
	static const problem_case exact[] = {
		LARGE("mha", "B=1,N=331,H=2", "D=48", 300),
		LARGE("sliding_window", "B=1,N=331,H=2", "D=48,W=77", 300),
		LARGE("sink", "B=1,N=131,H=2", "D=48", 300),
		LARGE("document", "B=1,N=131,H=2", "D=48", 300),
	};
	static const problem_case rounded[] = {
		LARGE("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=41,W2=37", 20),
		LARGE("two_simplicial", "B=1,N=301,H=1,G=1", "D=16,W1=35,W2=299", 20),
	};

	(void)state;
	CHECK(exact);
	assert_int_equal(check_all(rounded, COUNT(rounded), 1.5e-1), 0);
}

/* NaN and infinities: what a row does not see never reaches it. */
static void wild_operands(void **state)
{
	static const problem_case cases[] = {
		WILD("mha", "B=1,N=131,H=2", "D=48", "q"),
		WILD("mha", "B=1,N=131,H=2", "D=48", "k"),
		WILD("mha", "B=1,N=331,H=2", "D=48", "v"),
		WILD("mha", "B=1,N=131,H=2", "D=48,T=f16", "v"),
		WILD("sliding_window", "B=1,N=331,H=2", "D=48,W=77", "k v"),
		WILD("document", "B=1,N=131,H=2", "D=48", "v"),
		WILD("padded", "B=2,N=67,H=2", "D=48", "v"),
		WILD("strided", "B=1,N=67,H=2", "D=40", "v"),
		WILD("retention", "B=1,N=131,H=2", "D=48", "v"),
		WILD("sigmoid", "B=1,N=131,H=2", "D=48", "v"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "q"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "k1"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "k2"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "v1"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", "v2"),
		WILD("two_simplicial", "B=1,N=67,H=2,G=1", "D=40,W1=70,W2=0", "v1 v2"),
		WILD("two_simplicial", "B=1,N=91,H=1,G=1", "D=16,W1=41,W2=37", "v1 v2"),
		WILD("three_simplicial", "B=1,N=13,H=1,G=1", "D=24,W1=2,W2=2,W3=5", "v1 v2 v3"),
	};

	(void)state;
	CHECK(cases);
}

/* Rows that leave by 16-byte stores: heads of a group in every number, half a cell of features, more
 * of them than fit at a time; strides and addresses that allow none of it. */
static void results(void **state)
{
	static const problem_case cases[] = {
		PLAIN("gqa", "B=2,N=67,H=1,G=1", "D=40"),
		PLAIN("gqa", "B=1,N=67,H=2,G=1", "D=40"),
		PLAIN("gqa", "B=2,N=33,H=6,G=2", "D=48"),
		PLAIN("gqa", "B=1,N=41,H=5,G=1", "D=40"),
		PLAIN("gqa", "B=2,N=19,H=8,G=1", "D=48"),
		PLAIN("gqa", "B=1,N=13,H=48,G=3", "D=16"),
		PLAIN("mqa", "B=1,N=3,H=256", "D=16"),
		PLAIN("two_simplicial", "B=1,N=13,H=16,G=1", "D=40,W1=3,W2=5"),
		PLAIN("mha", "B=1,N=67,H=2", "D=16,E=120"),
		PLAIN("mha", "B=1,N=67,H=2", "D=128,E=8,T=f16"),
		ODD("mha", "B=1,N=67,H=2", "D=48"),
		ODD("gqa", "B=2,N=33,H=6,G=2", "D=40,T=f16"),
		ODD("two_simplicial", "B=1,N=13,H=6,G=2", "D=40,W1=3,W2=5"),
	};

	(void)state;
	CHECK(cases);
}

/* Sums of warps that share rows meet at the end: with different maxima, with NaN, with nothing. */
static void shared_rows(void **state)
{
	static const problem_case exact[] = {
		SHARED("two_simplicial", "B=1,N=67,H=3,G=1", "D=48,W1=5,W2=9", 0, NULL, SPLIT),
		SHARED("two_simplicial", "B=2,N=67,H=3,G=3", "D=48,W1=5,W2=9", 0, NULL, WALK),
		SHARED("two_simplicial", "B=1,N=67,H=5,G=1", "D=48,W1=1,W2=90", 0, NULL, WALK),
		SHARED("two_simplicial", "B=1,N=91,H=1,G=1", "D=16,W1=41,W2=37", 0, NULL, WALK),
		SHARED("pairwise", "B=1,N=41,H=3,G=1", "D=48,W1=5,W2=9", 0, NULL, WALK),
		SHARED("three_simplicial", "B=1,N=21,H=3,G=1", "D=40", 0, NULL, WALK),
		SHARED("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", 0, "q", WALK),
		SHARED("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", 0, "k1 k2", WALK),
		SHARED("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", 0, "v1 v2", WALK),
		SHARED("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=5,W2=9", 0, "v1 v2", SPLIT),
		SHARED("two_simplicial", "B=1,N=91,H=1,G=1", "D=16,W1=41,W2=37", 0, "v1 v2", WALK),
	};
	static const problem_case rounded[] = {
		SHARED("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=41,W2=37", 20, NULL, SPLIT),
		SHARED("two_simplicial", "B=1,N=67,H=2,G=1", "D=48,W1=41,W2=37", 20, NULL, WALK),
		SHARED("two_simplicial", "B=1,N=61,H=1,G=1", "D=16,W1=4,W2=59", 20, NULL, WALK),
	};

	(void)state;
	CHECK(exact);
	assert_int_equal(check_all(rounded, COUNT(rounded), 1.5e-1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(specs_of_order_1),
		cmocka_unit_test(specs_of_order_2),
		cmocka_unit_test(other_specs),
		cmocka_unit_test(several_chunks),
		cmocka_unit_test(windows),
		cmocka_unit_test(results),
		cmocka_unit_test(large_scores),
		cmocka_unit_test(wild_operands),
		cmocka_unit_test(shared_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
