/* Faults put into kernels that are right: each must be reported, or change the result.
 * The kernels of two shipped specs, with one and two slots of keys, several blocks of keys and
 * aligned operands; one change at a time. Nothing that orders memory or says where data lie may
 * survive a change. */
#include "edit.h"
#include "problem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	problem p;
	edit_places at; /* every statement */
	uint64_t digest;
	sim_value *aligned; /* the argument: 1 copies, 0 fills */
	int tried, caught, wrong;
	int64_t statements, reached; /* executed by the last attempt, and by the program as it is */
	text survivors;
} bench;

static sim_value *aligned_argument(problem *p)
{
	for (int i = 0; i < p->program->arg.count; i++)
		if (!strcmp(p->program->arg.item[i]->name, "aligned"))
			return &p->value[i];
	return NULL;
}

/* One run. False: it was reported or gave another result, and that is counted. */
static bool survives(bench *t)
{
	sim_report r;
	bool clean = problem_simulate(&t->p, t->p.program, &r);
	bool same = problem_digest(&t->p) == t->digest;

	t->statements += r.statements;
	sim_report_free(&r);
	t->caught += !clean;
	t->wrong += clean && !same;
	return clean && same;
}

/* Runs the program, with copies and then with fills. */
static bool survives_both(bench *t)
{
	bool lives;

	t->statements = 0;
	lives = survives(t);
	t->aligned->i = 0;
	lives = lives && survives(t);
	t->aligned->i = 1;
	return lives;
}

static void open_bench(bench *t, const problem_case *c)
{
	sim_report r;
	text out = {0};

	*t = (bench){0};
	assert_true(problem_open(&t->p, c));
	if (!problem_simulate(&t->p, t->p.program, &r)) {
		sim_report_print(&r, &out);
		fail_msg("%s: %s", c->spec, out.data);
	}
	sim_report_free(&r);
	t->digest = problem_digest(&t->p);
	t->aligned = aligned_argument(&t->p);
	t->p.args.report_limit = 1;
	t->p.args.step_limit = 1000000;
	t->at = edit_statements(t->p.arena, t->p.program);
	assert_true(survives_both(t));
	t->reached = t->statements;
}

static void close_bench(bench *t)
{
	text_free(&t->survivors);
	problem_close(&t->p);
}

static void attempt(bench *t, const char *change, tile_stmt *s)
{
	t->tried++;
	if (!survives_both(t))
		return;
	text_printf(&t->survivors, "%s: %s\n", change, edit_line(t->p.arena, t->p.program, s));
}

/* --- changes --- */

/* Statements that are never reached are left alone. */
static void without(bench *t, tile_opcode op, const char *change)
{
	for (int i = 0; i < t->at.count; i++) {
		tile_stmt *s = edit_at(&t->at, i);

		if (s->op != op)
			continue;
		edit_remove(&t->at, i);
		if (!survives_both(t))
			t->tried++;
		else if (t->statements < t->reached)
			attempt(t, change, s);
		edit_restore(&t->at, i, s);
	}
}

/* Calls `f` for every region of every statement. */
static void each_region(bench *t, void (*f)(bench *t, tile_stmt *s, tile_region *r))
{
	for (int i = 0; i < t->at.count; i++) {
		tile_stmt *s = edit_at(&t->at, i);
		const char *signature = tile_op_info[s->op].signature;

		for (int k = 0; signature[k]; k++)
			if (signature[k] == 's')
				f(t, s, &s->arg[k].region);
	}
}

static void other_slot(bench *t, tile_stmt *s, tile_region *r)
{
	tile_program *p = t->p.program;
	tile_expr *before = r->slot;

	if (r->buffer->slots != 2)
		return;
	r->slot = tx_2(p, TX_SUB, tx_i32(p, 1), before);
	attempt(t, "other slot", s);
	r->slot = before;
}

static void other_swizzle(bench *t, tile_stmt *s, tile_region *r)
{
	tile_buffer *before = r->buffer, changed = *before;

	if (before->swizzle == 0)
		return;
	changed.swizzle--;
	r->buffer = &changed;
	attempt(t, "other swizzle", s);
	r->buffer = before;
}

/* The region 8 columns or rows further, where the buffer has them. */
static void moved(bench *t, tile_stmt *s, tile_region *r)
{
	tile_program *p = t->p.program;
	tile_expr *row = r->row, *col = r->col;

	r->col = tx_2(p, TX_ADD, col, tx_i32(p, 8));
	attempt(t, "8 columns further", s);
	r->col = col;
	r->row = tx_2(p, TX_ADD, row, tx_i32(p, 8));
	attempt(t, "8 rows further", s);
	r->row = row;
}

/* Every slice of a register tile one cell further. */
static void slices_moved(bench *t)
{
	tile_program *p = t->p.program;

	for (int i = 0; i < t->at.count; i++) {
		tile_stmt *s = edit_at(&t->at, i);

		for (int k = 0; tile_op_info[s->op].signature[k]; k++) {
			tile_slice *f = &s->arg[k].slice;
			tile_expr *before = f->first;

			if (tile_op_info[s->op].signature[k] != 'f' || f->cols == f->frag->cols)
				continue;
			f->first = tx_2(p, TX_ADD, before, tx_i32(p, tile_cell_of(f->frag).cols));
			attempt(t, "slice moved", s);
			f->first = before;
		}
	}
}

static void weaker_waits(bench *t)
{
	for (int i = 0; i < t->at.count; i++) {
		tile_stmt *s = edit_at(&t->at, i);

		if (s->op != TILE_WAIT)
			continue;
		s->arg[0].integer++;
		attempt(t, "waits for one group less", s);
		s->arg[0].integer--;
	}
}

/* Statements on registers alone may pass a barrier. */
static bool orders(const tile_stmt *s)
{
	return s->op != TILE_MAP && tile_op_info[s->op].effect != EFFECT_NONE;
}

/* A statement and the barrier after or before it change places. */
static void barriers_moved(bench *t)
{
	for (int i = 0; i < t->at.count; i++) {
		tile_block *b = t->at.item[i].block;
		int n = t->at.item[i].index;
		tile_stmt *s = b->item[n], *next = n + 1 < b->count ? b->item[n + 1] : s;

		if ((s->op == TILE_BARRIER) == (next->op == TILE_BARRIER) || !orders(s) ||
			!orders(next))
			continue;
		b->item[n] = next;
		b->item[n + 1] = s;
		attempt(t, s->op == TILE_BARRIER ? "before the barrier" : "after the barrier",
			s->op == TILE_BARRIER ? next : s);
		b->item[n] = s;
		b->item[n + 1] = next;
	}
}

/* Every integer constant of every value replaced: whatever that makes of the program, the simulator
 * ends. */
static void any_constant(bench *t, tile_expr *x, bool *seen)
{
	static const int64_t value[] = {0, -1, 7, INT32_MAX, INT32_MIN};
	int64_t before = x->i;

	if (seen[x->id])
		return;
	seen[x->id] = true;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		any_constant(t, x->arg[i], seen);
	if (x->op != TX_CONST || (x->type != TILE_I32 && x->type != TILE_I64))
		return;
	for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
		x->i = value[i];
		survives(t);
	}
	x->i = before;
}

static void constants_changed(bench *t)
{
	bool *seen = ARENA_ARRAY(t->p.arena, bool, t->p.program->expr_count + 1);

	for (int i = 0; i < t->at.count; i++) {
		tile_stmt *s = edit_at(&t->at, i);
		const char *signature = tile_op_info[s->op].signature;

		for (int k = 0; signature[k]; k++) {
			tile_operand *o = &s->arg[k];

			if (signature[k] == 'e')
				any_constant(t, o->value, seen);
			if (signature[k] == 's') {
				any_constant(t, o->region.slot, seen);
				any_constant(t, o->region.row, seen);
				any_constant(t, o->region.col, seen);
			}
			if (signature[k] == 'f') {
				any_constant(t, o->slice.first, seen);
				any_constant(t, o->slice.first_row, seen);
			}
		}
	}
}

/* --- tests --- */

/* Survivors, which are printed. */
static int finish(bench *t, const char *what)
{
	int survivors = 0;
	char *line = t->survivors.data, *next;

	printf("%s, %d slots, %s: %d tried, %d reported, %d wrong results\n", t->p.c.spec,
		t->p.c.slots, what, t->tried, t->caught, t->wrong);
	for (; line && *line; line = next, survivors++) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		printf("    survives: %s\n", line);
	}
	t->tried = t->caught = t->wrong = 0;
	text_free(&t->survivors);
	return survivors;
}

/* Some statements are not needed for the result: a value computed again because registers are
 * scarce, a factor that is 1 at these sizes, a name that nothing reads. One in eight at most. */
static void others_removed(bench *t)
{
	int tried;

	for (int op = 0; op < TILE_OP_COUNT; op++)
		if (!edit_orders((tile_opcode)op))
			without(t, (tile_opcode)op, "removed");
	tried = t->tried;
	assert_true(8 * finish(t, "any other statement removed") <= tried);
}

static void check_kernel(const problem_case *c)
{
	bench t;
	int bad = 0;

	open_bench(&t, c);
	without(&t, TILE_BARRIER, "no barrier");
	bad += finish(&t, "a barrier removed");
	without(&t, TILE_WAIT, "no wait");
	bad += finish(&t, "a wait removed");
	without(&t, TILE_COMMIT, "no commit");
	bad += finish(&t, "a commit removed");
	weaker_waits(&t);
	bad += finish(&t, "waits for one group less");
	barriers_moved(&t);
	bad += finish(&t, "barrier moved");
	each_region(&t, other_slot);
	bad += finish(&t, "slots swapped");
	each_region(&t, other_swizzle);
	bad += finish(&t, "swizzle of one access changed");
	each_region(&t, moved);
	bad += finish(&t, "region moved");
	slices_moved(&t);
	bad += finish(&t, "slice of registers moved");
	assert_int_equal(bad, 0);
	others_removed(&t);
	close_bench(&t);
}

static void mha_two_slots(void **state)
{
	(void)state;
	check_kernel(&(problem_case){.spec = "mha",
		.dims = "B=1,N=67,H=2",
		.defines = "D=32",
		.bare = true,
		.warps = 2,
		.key_tile = 16,
		.resident = 16,
		.slots = 2});
}

static void mha_one_slot(void **state)
{
	(void)state;
	check_kernel(&(problem_case){.spec = "mha",
		.dims = "B=1,N=67,H=2",
		.defines = "D=32",
		.bare = true,
		.warps = 2,
		.key_tile = 16,
		.resident = 32,
		.slots = 1});
}

static void two_simplicial_two_slots(void **state)
{
	(void)state;
	check_kernel(&(problem_case){.spec = "two_simplicial",
		.dims = "B=1,N=45,H=2,G=1",
		.defines = "D=32,W1=3,W2=29",
		.bare = true,
		.warps = 2,
		.key_tile = 16,
		.resident = 16,
		.slots = 2});
}

static void two_simplicial_one_slot(void **state)
{
	(void)state;
	check_kernel(&(problem_case){.spec = "two_simplicial",
		.dims = "B=1,N=45,H=2,G=1",
		.defines = "D=48,E=32,W1=3,W2=29",
		.bare = true,
		.warps = 2,
		.key_tile = 16,
		.resident = 32,
		.slots = 1});
}

static void any_program_ends(void **state)
{
	bench t;

	(void)state;
	open_bench(&t, &(problem_case){.spec = "two_simplicial",
			       .dims = "B=1,N=19,H=2,G=1",
			       .defines = "D=32,W1=3,W2=9",
			       .bare = true,
			       .warps = 2,
			       .key_tile = 16,
			       .resident = 16,
			       .slots = 2});
	t.p.args.step_limit = 20000;
	constants_changed(&t);
	printf("constants changed: %d reported, %d wrong results\n", t.caught, t.wrong);
	close_bench(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mha_two_slots),
		cmocka_unit_test(mha_one_slot),
		cmocka_unit_test(two_simplicial_two_slots),
		cmocka_unit_test(two_simplicial_one_slot),
		cmocka_unit_test(any_program_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
