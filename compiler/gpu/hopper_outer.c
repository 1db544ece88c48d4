/* hopper_outer.c: what the wgmma lowering does at an outer position.
 * in:  the outer streams of the plan; with rows that walk on their own, each row's place
 * out: statements that bring a chunk of outer vectors to shared memory, make A of them and Gv, and add
 * an outer step's sums to O */
#include "gpu/hopper_internal.h"

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

/* --- vectors to shared memory --- */

/* Positions of a chunk; of all rows', where each walks on its own. */
int hopper_staged_rows(const gpu_plan *p, const model_stream *st)
{
	int chunk = st->outer + 1 == p->form->outers ? p->chunk : 1;

	return gpu_is_walked(p, st->outer) ? chunk + gpu_block_row_count(p) - 1 : chunk;
}

int hopper_staged_cols(const gpu_plan *p, const model_stream *st)
{
	int n = pad16(st->d->extent);

	return gpu_is_walked(p, st->outer) ? n + 8 : n;
}

/* Vectors that all rows read at once need no swizzle. Rows that walk on their own read one each, of
 * neighbouring positions: 16 bytes more a row keep those in different banks. */
tile_buffer *hopper_declare_staged(hopper *h, const model_stream *st, const char *name)
{
	const gpu_plan *p = h->plan;
	tile_buffer *b = tile_shared(h->g->p, st->e->at, name, p->operand, 1,
		hopper_staged_rows(p, st), hopper_staged_cols(p, st));

	b->swizzle = 0;
	return b;
}

/* Position of a row of the staged vectors; beyond the last one that one again. */
static X staged_position(hopper *h, X row)
{
	gpu_cx *g = h->g;
	int last = g->m->outers - 1;
	X end;

	if (!h->plan->own)
		return op2(g, TX_MIN, row, g->high[1 + last]);
	end = op2(g, TX_SUB, tx_arg(g->p, g->length[g->m->outer[last]->length->id]), i32(g, 1));
	row = op2(g, TX_ADD, g->walk_first, row);
	return op2(g, TX_MAX, i32(g, 0), op2(g, TX_MIN, end, row));
}

void hopper_stage(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	int last = g->m->outers - 1;

	if (last < 0)
		return;
	for (int s = 0; s < h->plan->streams.count; s++) {
		const model_stream *st = &h->plan->streams.item[s];
		X row = op2(g, TX_ADD, h->chunk0, tx_leaf(g->p, TX_ROW));
		gpu_env e;

		if (!h->staged[s])
			continue;
		gpu_env_init(g, &e);
		for (int o = 0; o < last; o++)
			e.coord[g->m->outer[o]->id] = g->outer[o];
		e.coord[g->m->outer[last]->id] = staged_position(h, row);
		hopper_put_rows(h, h->staged[s], h->staged[s]->rows, st, &e);
	}
	tile_commit(g->p, at);
	tile_wait(g->p, at, 0);
	tile_barrier(g->p, at);
}

/* --- one outer position --- */

void hopper_at(hopper *h, X step)
{
	gpu_cx *g = h->g;
	int last = g->m->outers - 1, split = h->plan->split;
	X t;

	if (last < 0)
		return;
	if (split > 1)
		step = op2(g, TX_ADD, op2(g, TX_MUL, step, i32(g, split)),
			op2(g, TX_DIV, tx_leaf(g->p, TX_WARPGROUP),
				i32(g, h->plan->warps / 4 / split)));
	h->place = step;
	t = op2(g, TX_ADD, h->chunk0, step);
	g->outer[last] = t;
	if (h->plan->own)
		gpu_walk_to(g, t);
	else if (split > 1) /* the last of them may have no position left */
		gpu_outer_to(g, t);
}

/* The current position's row among the staged vectors. */
static X staged_row(const hopper *h, const model_stream *st)
{
	return st->outer + 1 == h->g->m->outers ? h->place : i32(h->g, 0);
}

/* At the current position, for rows that walk on their own the row's. */
static X staged_vector(hopper *h, const tile_buffer *b, const model_stream *st, X col)
{
	gpu_cx *g = h->g;
	X row = staged_row(h, st);

	if (gpu_is_walked(h->plan, st->outer))
		row = op2(g, TX_ADD, tx_frag(g->p, g->row_i), op2(g, TX_SUB, row, g->i0));
	return tx_shared(g->p, (tile_buffer *)b, i32(g, 0), row, col);
}

static X stream_at(gpu_cx *g, int s, X feature)
{
	hopper *h = g->user;

	return staged_vector(h, h->staged[s], &h->plan->streams.item[s], feature);
}

/* Columns of a register tile from staged vectors: by each lane's own row of them where rows walk on
 * their own, else from the same one. */
static void load_staged(hopper *h, tile_slice to, tile_buffer *b, const model_stream *st, int col)
{
	gpu_cx *g = h->g;
	X row = staged_row(h, st);

	if (gpu_is_walked(h->plan, st->outer))
		row = op2(g, TX_ADD, h->lane_row, row);
	tile_ldsm_rows(g->p, st->e->at, to, tile_part(b, i32(g, 0), row, i32(g, col), 1, to.cols));
}

static void load_vector(hopper *h, tile_frag *f, tile_buffer *b, const model_stream *st)
{
	if (f && b)
		load_staged(h, tile_whole(f), b, st, 0);
}

void hopper_streams(hopper *h)
{
	gpu_cx *g = h->g;
	int rows = gpu_block_row_count(h->plan);
	X row = op2(g, TX_ADD, op2(g, TX_MUL, tx_leaf(g->p, TX_WARP), i32(g, 16)),
		op2(g, TX_MOD, tx_leaf(g->p, TX_LANE), i32(g, 16)));

	g->stream_at = stream_at;
	g->user = h;
	if (!h->plan->own)
		return;
	if (h->plan->split > 1)
		row = op2(g, TX_MOD, row, i32(g, rows));
	row = op2(
		g, TX_MIN, op2(g, TX_ADD, g->row0, row), op2(g, TX_SUB, g->rows_total, i32(g, 1)));
	h->lane_row = tx_var(g->p, tile_let(g->p, g->s->at, "lane_row",
					   op2(g, TX_SUB, op2(g, TX_DIV, row, g->heads), g->i0)));
	tile_note(
		g->p, "positions from the block's first to that of the row lane %% 16 of the warp");
}

/* A = q * k with each row's own k: its registers hold k until it is multiplied. */
static int walked_factor(hopper *h, int seg)
{
	const expr *a = h->g->m->segment[seg].a;

	for (int s = 0; s < h->plan->streams.count; s++)
		if (gpu_is_walked(h->plan, h->plan->streams.item[s].outer) &&
			gpu_is_product(h->plan, a) && gpu_a_scale(h->g) == 1 && a->op == EXPR_MUL &&
			(expr_equal(a->arg[0], h->plan->streams.item[s].e) ||
				expr_equal(a->arg[1], h->plan->streams.item[s].e)))
			return s;
	return -1;
}

void hopper_load_rows(hopper *h)
{
	gpu_cx *g = h->g;

	for (int s = 0; s < h->plan->streams.count; s++)
		if (h->kept[s] && g->stream[s])
			tile_ldsm(g->p, h->plan->streams.item[s].e->at, tile_whole(g->stream[s]),
				tile_part(h->kept[s], NULL, NULL, NULL, h->plan->rows,
					g->stream[s]->cols),
				false);
}

void hopper_load_vectors(hopper *h)
{
	gpu_cx *g = h->g;

	for (int s = 0; s < h->plan->streams.count; s++)
		load_vector(h, g->stream[s], h->staged[s], &h->plan->streams.item[s]);
}

void hopper_load_rest(hopper *h)
{
	gpu_cx *g = h->g;

	for (int i = 0; i < g->m->segments; i++) {
		int s = walked_factor(h, i);

		if (s >= 0)
			load_vector(h, g->a[i], h->staged[s], &h->plan->streams.item[s]);
	}
}

void hopper_build(hopper *h)
{
	gpu_cx *g = h->g;
	int walked = 0;

	for (int i = 0; i < g->m->segments; i++) {
		const expr *a = g->m->segment[i].a;
		int s = walked_factor(h, i), q;

		if (s < 0)
			continue;
		walked++;
		q = model_stream_find(&h->plan->streams,
			a->arg[expr_equal(a->arg[0], h->plan->streams.item[s].e) ? 1 : 0]);
		tile_map(g->p, a->at, tile_whole(g->a[i]),
			gpu_scaled_product(g, tx_frag(g->p, g->stream[q]), tx_frag(g->p, g->a[i])));
	}
	if (!walked)
		gpu_build_segments(g);
	else if (walked < g->m->segments)
		ice("segments that walk and segments that do not");
}

/* --- Gv --- */

/* A vector of the operands' own type loses nothing in one register for two. */
static tile_type vector_type(const hopper *h, const expr *x)
{
	return x->op == EXPR_LOAD && gpu_stored_type(x->load.tensor->dtype) == h->plan->operand
		       ? h->plan->operand
		       : TILE_F32;
}

/* Columns of Gv that registers hold at a time, where each row has its own: as many as a score tile
 * has free. */
#define OWN_GV_COLUMNS 64

/* Whether each row has its own Gv, and registers hold it as it is staged. */
static bool has_own_gv(hopper *h, int i)
{
	const model_output *o = &h->g->m->output[i];
	int s = o->kind == OUTPUT_SUM && o->outer ? model_stream_find(&h->plan->streams, o->outer)
						  : -1;

	return s >= 0 && gpu_is_walked(h->plan, h->plan->streams.item[s].outer) &&
	       vector_type(h, o->outer) == h->plan->operand;
}

static int own_columns(hopper *h, int i, int col)
{
	int left = pad16(h->plan->e_extent[i]) - col;

	return left < OWN_GV_COLUMNS ? left : OWN_GV_COLUMNS;
}

/* Output i's from a column of its own on. */
static void load_own_gv(hopper *h, int i, int col)
{
	gpu_cx *g = h->g;
	const expr *x = g->m->output[i].outer;
	int s = model_stream_find(&h->plan->streams, x), from = h->plan->e_offset[i];

	if (!h->own_gv)
		h->own_gv = tile_register(g->p, x->at, "v_own", LAYOUT_OPA, h->plan->operand,
			h->plan->rows, g->out->cols);
	load_staged(h, tile_columns(h->own_gv, i32(g, from + col), own_columns(h, i, col)),
		h->staged[s], &h->plan->streams.item[s], col);
}

void hopper_load_own_gv(hopper *h)
{
	for (int i = 0; i < h->g->m->outputs; i++)
		if (has_own_gv(h, i)) {
			load_own_gv(h, i, 0);
			return;
		}
}

/* The first columns of the first such output are already there. */
static void add_own_step(hopper *h, int i, bool loaded)
{
	gpu_cx *g = h->g;
	const model_output *o = &g->m->output[i];
	X w = tx_frag(g->p, g->sum), acc = tx_frag(g->p, g->out);

	for (int col = 0; col < pad16(h->plan->e_extent[i]); col += OWN_GV_COLUMNS) {
		if (col || !loaded)
			load_own_gv(h, i, col);
		tile_map(g->p, o->tensor->at,
			tile_columns(
				g->out, i32(g, h->plan->e_offset[i] + col), own_columns(h, i, col)),
			tx_3(g->p, TX_FMA, w, tx_cvt(g->p, TILE_F32, tx_frag(g->p, h->own_gv)),
				acc));
	}
}

static tile_frag *gv_of(hopper *h, int i)
{
	gpu_cx *g = h->g;
	const expr *x = g->m->output[i].outer;

	if (!g->gv[i])
		g->gv[i] = tile_columnv(g->p, x->at, "v_outer", vector_type(h, x),
			vector_type(h, x) == TILE_F32 ? LAYOUT_ACC : LAYOUT_OPA, g->out->cols);
	return g->gv[i];
}

void hopper_clear_gv(hopper *h)
{
	gpu_cx *g = h->g;

	for (int i = 0; i < g->m->outputs; i++) {
		tile_frag *f;
		X zero = tx_f32(g->p, 0);

		if (g->m->output[i].kind != OUTPUT_SUM || !g->m->output[i].outer || h->plan->own)
			continue;
		f = gv_of(h, i);
		tile_map(g->p, g->m->output[i].outer->at, tile_whole(f),
			f->type == TILE_F32 ? zero : tx_cvt(g->p, f->type, zero));
	}
}

X hopper_outer_value(hopper *h, int i)
{
	gpu_cx *g = h->g;
	const model_output *o = &g->m->output[i];
	X col = op2(g, TX_SUB, tx_leaf(g->p, TX_COL), i32(g, h->plan->e_offset[i]));
	gpu_env e;

	gpu_env_init(g, &e);
	for (int k = 0; k < g->m->outers; k++)
		e.coord[g->m->outer[k]->id] = g->outer[k];
	if (o->e)
		e.coord[o->e->id] = op2(g, TX_MIN, col, i32(g, o->e->extent - 1));
	for (int s = 0; s < h->plan->streams.count; s++)
		if (h->staged[s])
			e.stream[s] = stream_at(g, s, col);
	return gpu_float(g, &e, o->outer);
}

void hopper_load_gv(hopper *h)
{
	gpu_cx *g = h->g;

	for (int i = 0; i < g->m->outputs; i++) {
		const model_output *o = &g->m->output[i];
		int from = h->plan->e_offset[i], cols = pad16(h->plan->e_extent[i]);
		tile_type t;
		int s;
		X v;

		if (o->kind != OUTPUT_SUM || !o->outer || h->plan->own)
			continue;
		t = gv_of(h, i)->type;
		s = model_stream_find(&h->plan->streams, o->outer);
		if (t != TILE_F32 && s >= 0 && h->staged[s]) {
			load_staged(h, tile_columns(g->gv[i], i32(g, from), cols), h->staged[s],
				&h->plan->streams.item[s], 0);
			continue;
		}
		v = hopper_outer_value(h, i);
		tile_map(g->p, o->outer->at, tile_columns(g->gv[i], i32(g, from), cols),
			t == TILE_F32 ? v : tx_cvt(g->p, t, v));
	}
}

void hopper_add_step(hopper *h)
{
	gpu_cx *g = h->g;
	bool loaded = true;

	for (int i = 0; i < g->m->outputs; i++) {
		const model_output *o = &g->m->output[i];
		int from = h->plan->e_offset[i], cols = pad16(h->plan->e_extent[i]);
		X w = tx_frag(g->p, g->sum), acc = tx_frag(g->p, g->out), gv;

		if (o->kind != OUTPUT_SUM)
			continue;
		if (has_own_gv(h, i)) {
			add_own_step(h, i, loaded);
			loaded = false;
			continue;
		}
		if (!o->outer) {
			acc = op2(g, TX_ADD, w, acc);
		} else if (h->plan->own) {
			acc = tx_3(g->p, TX_FMA, w, hopper_outer_value(h, i), acc);
		} else {
			gv = tx_frag(g->p, g->gv[i]);
			if (g->gv[i]->type != TILE_F32)
				gv = tx_cvt(g->p, TILE_F32, gv);
			acc = tx_3(g->p, TX_FMA, w, gv, acc);
		}
		tile_map(g->p, o->tensor->at, tile_columns(g->out, i32(g, from), cols), acc);
	}
}
