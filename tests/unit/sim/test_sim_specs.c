/* Every shipped spec at small odd sizes: the simulated kernel has no fault and agrees with the
 * reference interpreter. */
#include "problem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void describe(const problem_case *c, text *out)
{
	text_printf(out, "%s %s %s%s", c->spec, c->dims, c->defines ? c->defines : "",
		c->unaligned ? " unaligned" : "");
}

static bool check_case(const problem_case *c, double tolerance)
{
	char where[200];
	sim_report r;
	problem p;
	text out = {0};
	double t0 = now(), t1, t2, error;
	bool ok;

	describe(c, &out);
	if (!problem_open(&p, c)) {
		printf("%s: no GPU form\n", out.data);
		return false;
	}
	t1 = now();
	ok = problem_simulate(&p, p.program, &r);
	t2 = now();
	problem_reference(&p);
	error = problem_error(&p, where, sizeof where);
	printf("%-60s sim %.2fs ref %.2fs lower %.2fs error %.1e statements %lld conflicts %lld\n",
		out.data, t2 - t1, now() - t2, t1 - t0, error, (long long)r.statements,
		(long long)r.conflicts);
	text_put(&out, "\n");
	sim_report_print(&r, &out);
	if (!ok)
		printf("%s\n", out.data);
	else if (!(error <= tolerance))
		printf("%s  %s: error %g\n", out.data, where, error);
	ok = ok && error <= tolerance;
	sim_report_free(&r);
	text_free(&out);
	problem_close(&p);
	return ok;
}

int main(int argc, char **argv)
{
	problem_case c = {.spec = argv[1],
		.dims = argc > 2 ? argv[2] : "B=2,N=67,M=35,H=6,G=2",
		.defines = argc > 3 ? argv[3] : NULL,
		.unaligned = argc > 4 && atoi(argv[4])};

	if (argc > 5)
		sscanf(argv[5], "%d,%d,%d,%d", &c.warps, &c.key_tile, &c.resident, &c.slots);
	return !check_case(&c, 2e-2);
}
