/* test_cuda_run.c: the generated CUDA C of shipped specs, run on the CPU, agrees with the reference
 * interpreter. Skipped where there is no g++.
 * Without arguments a few specs; with "SPEC DIMS [DEFINES [unaligned]]" that one. */
#include "../sim/problem.h"
#include "emulate.h"
#include <stdio.h>

static bool check(const problem_case *c)
{
	char where[200];
	problem p;
	double error;

	if (!problem_open(&p, c)) {
		printf("%s: no GPU form\n", c->spec);
		return false;
	}
	emulate(p.program, &p.args);
	problem_reference(&p);
	error = problem_error(&p, where, sizeof where);
	printf("%s %s %s: error %.1e\n", c->spec, c->dims, c->defines ? c->defines : "", error);
	if (!(error <= 2e-2))
		printf("  %s\n", where);
	problem_close(&p);
	return error <= 2e-2;
}

static void shipped_specs(void **state)
{
	static const problem_case some[] = {
		{.spec = "gqa", .dims = "B=1,N=37,H=4,G=2"},
		{.spec = "sink", .dims = "B=1,N=21,H=2,G=1", .unaligned = true},
		{.spec = "two_simplicial",
			.dims = "B=1,N=19,H=2,G=1",
			.defines = "D=40,W1=5,W2=11"},
	};

	(void)state;
	if (!emulate_possible())
		skip();
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		assert_true(check(&some[i]));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(shipped_specs)};

	if (argc > 2)
		return !check(&(problem_case){.spec = argv[1],
			.dims = argv[2],
			.defines = argc > 3 && argv[3][0] ? argv[3] : NULL,
			.unaligned = argc > 4});
	return cmocka_run_group_tests(tests, NULL, NULL);
}
