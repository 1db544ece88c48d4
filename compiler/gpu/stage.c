/* stage.c: row operands, and keys and values of outer positions, in shared memory.
 * in:  the plan's `rows_shared` and `stage`
 * out: buffers, the statements that fill them, and leaves that read them
 * Rows stay for the whole kernel: A is built from them at each outer step, or they are A itself and
 * are read at each product. Outer positions come `stage` at a time, so that no outer step waits for
 * global memory. */
#include "gpu/gpu_internal.h"
#include <string.h>

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X op2(gpu_cx *g, tile_expr_op op, X a, X b)
{
	return tx_2(g->p, op, a, b);
}

static int pad16(int64_t x)
{
	return (int)((x + 15) / 16 * 16);
}

/* Whether two streams are the same tensor's elements, each along its own feature axis. */
static bool same_vectors(const model_stream *a, const model_stream *b)
{
	const expr *x = a->e, *y = b->e;
	int last;

	if (x->op != EXPR_LOAD || y->op != EXPR_LOAD || x->load.tensor != y->load.tensor ||
		a->d->extent != b->d->extent)
		return false;
	last = x->load.tensor->rank - 1;
	for (int i = 0; i < last; i++)
		if (!expr_equal(x->load.sub[i], y->load.sub[i]) ||
			expr_depends(x->load.sub[i], a->d))
			return false;
	x = x->load.sub[last];
	y = y->load.sub[last];
	return x->op == EXPR_COORD && x->axis == a->d && y->op == EXPR_COORD && y->axis == b->d;
}

int gpu_stage_owner(const gpu_plan *p, int s)
{
	const model_stream *st = p->streams.item;

	for (int i = 0; i < s; i++)
		if (st[i].outer == st[s].outer && same_vectors(&st[i], &st[s]))
			return i;
	return s;
}

/* Stored as the tensor has it where that is 16 bits, so that nothing is rounded here; a computed
 * vector as the operand that is made from it, or in f32 where it is none. */
tile_type gpu_stage_type(const gpu_plan *p, int s)
{
	const model_stream *st = &p->streams.item[s];

	if (st->e->op == EXPR_LOAD && st->e->load.tensor->dtype == DTYPE_BF16)
		return TILE_BF16;
	if (st->e->op == EXPR_LOAD && st->e->load.tensor->dtype == DTYPE_F16)
		return TILE_F16;
	for (int i = 0; i < p->form->segments; i++)
		if (p->form->segment[i].d == st->d)
			return p->operand;
	return TILE_F32;
}

/* --- buffers --- */

static tile_buffer *declare(gpu_cx *g, int s, const char *suffix, int rows, tile_type type)
{
	const model_stream *st = &g->plan->streams.item[s];
	const char *base = st->e->op == EXPR_LOAD ? st->e->load.tensor->name : "op";

	return tile_shared(g->p, st->e->at, arena_printf(g->p->arena, "%s_%s", base, suffix), type,
		1, rows, pad16(st->d->extent));
}

void gpu_stage_declare(gpu_cx *g)
{
	const gpu_plan *pl = g->plan;

	for (int s = 0; s < pl->streams.count; s++) {
		bool outer = pl->streams.item[s].outer >= 0;
		int owner = gpu_stage_owner(pl, s);
		tile_buffer **b = outer ? &g->stage[s] : &g->rows[s];

		if (outer ? pl->stage == 0 : !pl->rows_shared)
			continue;
		if (owner != s) {
			*b = outer ? g->stage[owner] : g->rows[owner];
			continue;
		}
		*b = declare(g, s, outer ? "steps" : "rows", outer ? pl->stage : pl->rows,
			outer ? gpu_stage_type(pl, s) : pl->operand);
		if (outer)
			(*b)->swizzle = 0; /* read row by row: no bank is asked twice */
		(*b)->what = outer ? "some positions of the outer axis" : "one row a query";
	}
}

int64_t gpu_stage_bytes(const gpu_plan *p)
{
	int64_t bytes = 0;

	for (int s = 0; s < p->streams.count; s++) {
		const model_stream *st = &p->streams.item[s];
		int64_t cols = pad16(st->d->extent), need = 0;

		if (gpu_stage_owner(p, s) != s)
			continue;
		if (st->outer >= 0)
			need = p->stage * cols * tile_type_bytes(gpu_stage_type(p, s));
		else if (p->rows_shared)
			need = p->rows * cols * tile_type_bytes(p->operand);
		bytes += (need + 1023) / 1024 * 1024;
	}
	return bytes;
}

/* --- filling them --- */

void gpu_stage_rows(gpu_cx *g)
{
	bool any = false;

	for (int s = 0; s < g->plan->streams.count; s++) {
		const model_stream *st = &g->plan->streams.item[s];

		if (!g->rows[s] || gpu_stage_owner(g->plan, s) != s)
			continue;
		gpu_load_vectors(
			g, g->rows[s], i32(g, 0), 0, &(gpu_vectors){.x = st->e, .d = st->d});
		any = true;
	}
	if (any)
		tile_commit(g->p, g->s->at);
}

void gpu_stage_outer(gpu_cx *g)
{
	loc at = g->s->at;

	tile_barrier(g->p, at);
	for (int s = 0; s < g->plan->streams.count; s++) {
		const model_stream *st = &g->plan->streams.item[s];

		if (g->stage[s] && gpu_stage_owner(g->plan, s) == s)
			gpu_load_vectors(g, g->stage[s], i32(g, 0), 0,
				&(gpu_vectors){.x = st->e,
					.d = st->d,
					.key = g->m->outer[st->outer],
					.first = g->stage0[st->outer],
					.last = g->high[1 + st->outer]});
	}
	tile_commit(g->p, at);
	tile_wait(g->p, at, 0);
	tile_barrier(g->p, at);
}

/* --- reading them --- */

X gpu_staged(gpu_cx *g, int s, X feature)
{
	int o = g->plan->streams.item[s].outer;

	if (o < 0)
		return g->rows[s] ? tx_shared(g->p, g->rows[s], i32(g, 0), tx_leaf(g->p, TX_ROW),
					    feature)
				  : NULL;
	if (!g->stage[s])
		return NULL;
	return tx_shared(
		g->p, g->stage[s], i32(g, 0), op2(g, TX_SUB, g->outer[o], g->stage0[o]), feature);
}

void gpu_stage_env(gpu_cx *g, gpu_env *e, const sema_axis *d, X feature)
{
	for (int s = 0; s < g->plan->streams.count; s++)
		if (g->plan->streams.item[s].d == d)
			e->stream[s] = gpu_staged(g, s, feature);
}

int gpu_shared_a(const gpu_cx *g, int seg)
{
	int s = model_stream_find(&g->plan->streams, g->m->segment[seg].a);

	if (s < 0 || !g->rows[s] || gpu_a_scale(g) != 1)
		return -1;
	return !g->m->outers || g->plan->a_late ? s : -1;
}
