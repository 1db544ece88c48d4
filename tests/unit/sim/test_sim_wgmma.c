/* The wgmma family of shipped specs: simulated, against the reference interpreter; and without each
 * statement that orders something. */
#include "edit.h"
#include "problem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void open_case(problem *p, const problem_case *c)
{
	assert_true(problem_open(p, c));
	if (p->plan.family != GPU_WGMMA)
		fail_msg("%s %s: %s", c->spec, c->defines, p->plan.why.data);
}

static void print_report(const sim_report *r, const char *spec)
{
	text out = {0};

	sim_report_print(r, &out);
	fail_msg("%s: %s", spec, out.data);
}

static void check(const problem_case *c)
{
	char where[200];
	sim_report r;
	problem p;
	double error;

	open_case(&p, c);
	if (!problem_simulate(&p, p.program, &r))
		print_report(&r, c->spec);
	problem_reference(&p);
	error = problem_error(&p, where, sizeof where);
	printf("%s %s %s: error %.1e, statements %lld\n", c->spec, c->dims, c->defines, error,
		(long long)r.statements);
	if (!(error <= (c->scale ? 6e-2 : 2e-2)))
		fail_msg("%s: error %g, %s", c->spec, error, where);
	sim_report_free(&r);
	problem_close(&p);
}

static void specs(void **state)
{
	static const problem_case cases[] = {
		{.spec = "mha", .dims = "B=1,N=131,H=2", .defines = "D=64"},
		{.spec = "mha", .dims = "B=2,N=67,H=2", .defines = "D=128,T=f16"},
		{.spec = "gqa", .dims = "B=1,N=300,H=4,G=2", .defines = "D=64"},
		{.spec = "sliding_window", .dims = "B=1,N=331,H=2", .defines = "D=64,W=70"},
		{.spec = "two_simplicial",
			.dims = "B=1,N=67,H=4,G=1",
			.defines = "D=64,W1=5,W2=37"},
		{.spec = "two_simplicial",
			.dims = "B=2,N=45,H=16,G=2",
			.defines = "D=128,W1=37,W2=41"},
		/* sums that leave the range of 2^s: the exact pass; the queries, scaled, are bf16, so errors
		 * are larger */
		{.spec = "mha", .dims = "B=1,N=131,H=2", .defines = "D=64", .scale = 14},
		{.spec = "two_simplicial",
			.dims = "B=1,N=45,H=4,G=1",
			.defines = "D=64,W1=5,W2=37",
			.scale = 14},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		problem_case c = cases[i];

		c.target = "sm_90a";
		check(&c);
	}
}

/* --- one statement less --- */

typedef struct {
	problem p;
	edit_places at;
	uint64_t digest;
	int64_t statements;
} bench;

/* The block with the newest rows only. */
static void open_bench(bench *t, const problem_case *c)
{
	sim_report r;

	open_case(&t->p, c);
	t->p.args.grid[0] = 1;
	if (!problem_simulate(&t->p, t->p.program, &r))
		print_report(&r, c->spec);
	t->statements = r.statements;
	sim_report_free(&r);
	t->digest = problem_digest(&t->p);
	t->at = edit_statements(t->p.arena, t->p.program);
	t->p.args.report_limit = 1;
	t->p.args.step_limit = 200000;
}

typedef enum { NOT_REACHED, SAME, CAUGHT } outcome;

/* The program without statement i: reported or with another result, or as before. */
static outcome try_without(bench *t, int i, const char *line)
{
	tile_stmt *s = edit_remove(&t->at, i);
	outcome out = CAUGHT;
	sim_report r;

	if (!problem_simulate(&t->p, t->p.program, &r))
		printf("    %s: %s: %s\n", line, sim_fault_text(r.entry[0].fault),
			r.entry[0].message);
	else if (r.statements == t->statements)
		out = NOT_REACHED;
	else if (problem_digest(&t->p) == t->digest)
		out = SAME;
	sim_report_free(&r);
	edit_restore(&t->at, i, s);
	return out;
}

enum { BENCHES = 4 };

/* Whole blocks of keys and a part of one; sums inside the range of the fast pass and outside, where
 * the exact pass runs, too. */
static void open_benches(bench *t, problem_case c, const char *part)
{
	for (int i = 0; i < BENCHES; i++) {
		problem_case one = c;

		one.target = "sm_90a";
		one.scale = i % 2 ? 14 : 0;
		if (i / 2)
			one.dims = part;
		open_bench(&t[i], &one);
		assert_int_equal(t[i].at.count, t[0].at.count);
	}
}

/* What is seen in any of them. */
static outcome try_all(bench *t, int i, const char *line)
{
	outcome worst = NOT_REACHED;

	for (int k = 0; k < BENCHES && worst != CAUGHT; k++) {
		outcome one = try_without(&t[k], i, line);

		worst = one > worst ? one : worst;
	}
	return worst;
}

/* What may survive: a barrier or a fence where another one has the same effect, a product with keys
 * that no row sees. */
static bool may_survive(tile_opcode op)
{
	return op == TILE_BARRIER || op == TILE_WFENCE || tile_is_wgmma(op);
}

/* `awaits`: so many are for tiles that another one has awaited. */
static void check_removed(problem_case c, const char *part, int spare, int awaits)
{
	static const char *const said[] = {"not reached", "survives", "caught"};
	bench t[BENCHES];
	int count[3] = {0};

	open_benches(t, c, part);
	for (int i = 0; i < t[0].at.count; i++) {
		const tile_stmt *s = edit_at(&t[0].at, i);
		const char *line = edit_line(t[0].p.arena, t[0].p.program, s);
		outcome is;

		if (!edit_orders(s->op))
			continue;
		is = try_all(t, i, line);
		count[is]++;
		if (is != CAUGHT)
			printf("    %s: %s\n", said[is], line);
		if (is != SAME)
			continue;
		if (s->op == TILE_BWAIT ? --awaits < 0 : !may_survive(s->op) || --spare < 0)
			fail_msg("survives: %s", line);
	}
	assert_true(count[CAUGHT] > 8 * count[NOT_REACHED]);
	for (int i = 0; i < BENCHES; i++)
		problem_close(&t[i].p);
}

static void mha_removed(void **state)
{
	(void)state;
	check_removed((problem_case){.spec = "mha", .dims = "B=1,N=512,H=1", .defines = "D=64"},
		"B=1,N=600,H=1", 4, 0);
}

static void two_simplicial_removed(void **state)
{
	(void)state;
	check_removed((problem_case){.spec = "two_simplicial",
			      .dims = "B=1,N=512,H=64,G=1",
			      .defines = "D=64,W1=2,W2=512"},
		"B=1,N=340,H=64,G=1", 6, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(specs),
		cmocka_unit_test(mha_removed),
		cmocka_unit_test(two_simplicial_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
