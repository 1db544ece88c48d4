/* hopper_load.c: what the wgmma lowering brings to shared memory and registers.
 * in:  the plan, the row form's streams, B and V
 * out: buffers, tensor maps and mbarriers; statements that load key tiles by TMA, rows into
 * operand registers, and the vectors of a chunk of outer positions */
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

/* --- declarations --- */

static bool is_walked(const gpu_plan *p, const model_stream *st)
{
	return p->own && st->outer + 1 == p->form->outers;
}

/* Positions of a chunk; of all rows', where each walks on its own. */
int hopper_staged_rows(const gpu_plan *p, const model_stream *st)
{
	int chunk = st->outer + 1 == p->form->outers ? p->chunk : 1;

	return is_walked(p, st) ? chunk + gpu_block_row_count(p) - 1 : chunk;
}

int hopper_staged_cols(const gpu_plan *p, const model_stream *st)
{
	int n = pad16(st->d->extent);

	return is_walked(p, st) ? n + 8 : n;
}

int hopper_kept_cols(const model_stream *st)
{
	return pad16(st->d->extent) + 8;
}

/* Boxes of one tile's keys and one panel's columns. */
static tile_arg *declare_map(hopper *h, const expr *x)
{
	gpu_cx *g = h->g;
	const sema_tensor *t = x->load.tensor;
	int box[SEMA_MAX_RANK];

	for (int i = 0; i < t->rank; i++)
		box[i] = i + 1 == t->rank                      ? TILE_PANEL
			 : x->load.sub[i]->axis == g->m->inner ? h->plan->load
							       : 1;
	return tile_map_arg(g->p, x->at, arena_printf(g->p->arena, "%s_map", t->name),
		g->tensor[t->id], t->rank, box);
}

static tile_buffer *declare_panels(hopper *h, const expr *x, const sema_axis *d, const char *what)
{
	gpu_cx *g = h->g;
	tile_buffer *b = tile_shared_panels(g->p, x->at,
		arena_printf(g->p->arena, "%s_tiles", x->load.tensor->name), h->plan->operand,
		h->tiles, h->plan->load,
		(int)(d->extent + TILE_PANEL - 1) / TILE_PANEL * TILE_PANEL);

	b->what = what;
	return b;
}

static void declare_operands(hopper *h)
{
	gpu_cx *g = h->g;

	for (int i = 0; i < g->m->segments; i++) {
		const model_segment *s = &g->m->segment[i];

		h->key[i] = declare_panels(h, s->b, s->d, "inner keys, one row a key");
		h->key_map[i] = declare_map(h, s->b);
	}
	for (int i = 0; i < g->m->outputs; i++) {
		const model_output *o = &g->m->output[i];

		if (o->kind != OUTPUT_SUM)
			continue;
		h->value[i] = declare_panels(h, o->inner, o->e, "inner values, one row a key");
		h->value_map[i] = declare_map(h, o->inner);
	}
}

/* Vectors that all rows read at once need no swizzle. Rows that walk on their own read one each, of
 * neighbouring positions: 16 bytes more a row keep those in different banks. */
static tile_buffer *declare_staged(hopper *h, const model_stream *st, const char *name)
{
	const gpu_plan *p = h->plan;
	tile_buffer *b = tile_shared(h->g->p, st->e->at, name, p->operand, 1,
		hopper_staged_rows(p, st), hopper_staged_cols(p, st));

	b->swizzle = 0;
	return b;
}

static tile_buffer *first_value(hopper *h)
{
	for (int i = 0; i < h->g->m->outputs; i++)
		if (h->value[i])
			return h->value[i];
	ice("no values");
}

static void declare_streams(hopper *h)
{
	gpu_cx *g = h->g;
	int cols = 0;

	for (int s = 0; s < h->plan->streams.count; s++) {
		const model_stream *st = &h->plan->streams.item[s];
		int n = pad16(st->d->extent);

		gpu_declare_stream(g, s);
		if (st->outer < 0 && h->plan->rows_again) {
			h->kept[s] = tile_shared(g->p, st->e->at, "rows", h->plan->operand, 1,
				h->plan->rows, hopper_kept_cols(st));
			h->kept[s]->swizzle =
				0; /* 16 bytes more a row do as well, and one address */
			h->kept[s]->what = "row operands, for A of each outer position";
			continue;
		}
		if (st->outer < 0) {
			cols = n > cols ? n : cols;
			continue;
		}
		h->staged[s] = declare_staged(h, st, "outer_vectors");
		h->staged[s]->what = "vectors of outer positions, one row each";
		if (!gpu_scaled_stream(g, s))
			continue;
		h->fine[s] = declare_staged(h, st, "outer_fine");
		h->fine[s]->what = "what rounding left of the scaled vectors";
	}
	if (!cols)
		return;
	if (h->plan->rows_through)
		h->rows = tile_shared_again(g->p, g->s->at, "rows", h->plan->operand, 1,
			h->plan->rows, cols, first_value(h));
	else
		h->rows = tile_shared(
			g->p, g->s->at, "rows", h->plan->operand, 1, h->plan->rows, cols);
	h->rows->what = "row operands on their way to registers";
}

static void declare_registers(hopper *h)
{
	gpu_cx *g = h->g;
	const gpu_plan *pl = h->plan;
	loc at = g->s->at;

	for (int i = 0; i < g->m->segments; i++)
		gpu_declare_a(g, i);
	if (g->m->c)
		g->c = tile_register(g->p, g->m->c->at, "c", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
	h->s[0] = tile_register(g->p, at, "s_even", LAYOUT_ACC, TILE_F32, pl->rows, pl->key_tile);
	h->s[0]->what = "scores of an even step, then its weights";
	h->s[1] = tile_register(g->p, at, "s_odd", LAYOUT_ACC, TILE_F32, pl->rows, pl->key_tile);
	h->s[1]->what = "scores of an odd step";
	h->p = tile_register(g->p, at, "w", LAYOUT_OPA, pl->operand, pl->rows, pl->key_tile);
	h->p->what = "weights of the step whose value product is next";
	g->weight = h->p;
	g->score = h->s[0];
	g->out = tile_register(g->p, at, "acc", LAYOUT_ACC, TILE_F32, pl->rows, pl->e_total);
	g->out->what = "output sums";
	g->sum = g->out;
	if (g->m->outers) {
		g->sum = tile_register(g->p, at, "pv", LAYOUT_ACC, TILE_F32, pl->rows, pl->e_total);
		g->sum->what = "sum over inner keys of weight times value, for one outer step";
	}
	g->m_max = tile_register(g->p, at, "m", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
	g->l_sum = tile_register(g->p, at, "l", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
}

static void declare_done(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	if (g->m->outers) {
		h->done = tile_counter(g->p, at, "done", 2);
		return;
	}
	h->key_done = tile_mbarrier(g->p, at, "key_done", h->tiles, h->plan->warps);
	h->value_done = tile_mbarrier(g->p, at, "value_done", h->tiles, h->plan->warps);
}

void hopper_declare(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	h->tiles = h->plan->resident / h->plan->load;
	declare_operands(h);
	declare_streams(h);
	gpu_results_declare(g, first_value(h));
	declare_registers(h);
	hopper_merge_declare(h);
	h->key_full = tile_mbarrier(g->p, at, "key_full", h->tiles, 1);
	h->value_full = tile_mbarrier(g->p, at, "value_full", h->tiles, 1);
	declare_done(h);
}

void hopper_barriers(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	tile_if_begin(g->p, at, op2(g, TX_EQ, tx_leaf(g->p, TX_WARP), i32(g, 0)));
	tile_init(g->p, at, h->key_full);
	tile_init(g->p, at, h->value_full);
	if (h->done) {
		tile_init(g->p, at, h->done);
	} else {
		tile_init(g->p, at, h->key_done);
		tile_init(g->p, at, h->value_done);
	}
	tile_fence_async(g->p, at);
	tile_end(g->p);
	tile_barrier(g->p, at);
}

/* --- key tiles --- */

/* All panels of one tile: keys base + tile * load on. */
static void load_tile(
	hopper *h, const expr *x, tile_buffer *b, tile_arg *map, tile_mbar *full, X base, X tile)
{
	gpu_cx *g = h->g;
	const sema_tensor *t = x->load.tensor;
	X coord[SEMA_MAX_RANK], key0;
	gpu_env e;

	gpu_env_init(g, &e);
	key0 = op2(g, TX_ADD, base, op2(g, TX_MUL, tile, i32(g, h->plan->load)));
	for (int i = 0; i + 1 < t->rank; i++)
		coord[i] = x->load.sub[i]->axis == g->m->inner ? key0
							       : gpu_value(g, &e, x->load.sub[i]);
	for (int c = 0; c < b->cols; c += TILE_PANEL) {
		coord[t->rank - 1] = i32(g, c);
		tile_tma_load(g->p, x->at,
			tile_part(b, tile, i32(g, 0), i32(g, c), b->rows, TILE_PANEL), map, coord,
			t->rank, full, tile);
	}
}

static int64_t tile_bytes(const tile_buffer *b)
{
	return (int64_t)b->rows * b->cols * 2;
}

void hopper_load_keys(hopper *h, X base, X tile)
{
	gpu_cx *g = h->g;
	int64_t bytes = 0;

	for (int i = 0; i < g->m->segments; i++)
		bytes += tile_bytes(h->key[i]);
	tile_expect(g->p, g->s->at, h->key_full, tile, i32(g, bytes));
	for (int i = 0; i < g->m->segments; i++)
		load_tile(h, g->m->segment[i].b, h->key[i], h->key_map[i], h->key_full, base, tile);
}

void hopper_load_values(hopper *h, X base, X tile)
{
	gpu_cx *g = h->g;
	int64_t bytes = 0;

	for (int i = 0; i < g->m->outputs; i++)
		bytes += h->value[i] ? tile_bytes(h->value[i]) : 0;
	tile_expect(g->p, g->s->at, h->value_full, tile, i32(g, bytes));
	for (int i = 0; i < g->m->outputs; i++)
		if (h->value[i])
			load_tile(h, g->m->output[i].inner, h->value[i], h->value_map[i],
				h->value_full, base, tile);
}

static void load_all(hopper *h, X base, bool keys, bool values)
{
	gpu_cx *g = h->g;
	tile_var *t;
	X tile;

	tile_if_begin(g->p, g->s->at, op2(g, TX_EQ, tx_leaf(g->p, TX_WARP), i32(g, 0)));
	t = tile_for_begin(g->p, g->s->at, "load", i32(g, 0), i32(g, h->tiles), i32(g, 1));
	tile = op2(g, TX_SUB, i32(g, h->tiles - 1), tx_var(g->p, t));
	if (keys)
		hopper_load_keys(h, base, tile);
	if (values)
		hopper_load_values(h, base, tile);
	tile_end(g->p);
	tile_end(g->p);
}

void hopper_load_block(hopper *h, X base)
{
	load_all(h, base, true, true);
}

/* --- vectors to shared memory --- */

/* A stream under e at a column, zero in the padding. */
static X row_value(hopper *h, const model_stream *st, gpu_env *e)
{
	gpu_cx *g = h->g;
	int extent = (int)st->d->extent;
	X col = tx_leaf(g->p, TX_COL), v;

	e->coord[st->d->id] = op2(g, TX_MIN, col, i32(g, extent - 1));
	v = gpu_float(g, e, st->e);
	if (pad16(extent) == extent)
		return v;
	return tx_3(g->p, TX_SELECT, op2(g, TX_LT, col, i32(g, extent)), v, tx_f32(g->p, 0));
}

/* Row r of `b` = stream st under e(r): copied where it is a plain aligned tensor, else computed;
 * zero in the padding. */
static void put_rows(hopper *h, tile_buffer *b, int rows, const model_stream *st, gpu_env *e)
{
	gpu_cx *g = h->g;
	loc at = st->e->at;
	int extent = (int)st->d->extent, cols = pad16(extent);
	bool plain = gpu_copyable(h->plan, st->e, st->d);
	X v, sub[SEMA_MAX_RANK];

	if (plain) {
		const sema_tensor *t = st->e->load.tensor;

		tile_if_begin(g->p, at, op2(g, TX_NE, tx_arg(g->p, g->aligned), i32(g, 0)));
		for (int i = 0; i < t->rank; i++)
			sub[i] = i + 1 < t->rank ? gpu_value(g, e, st->e->load.sub[i]) : NULL;
		tile_copy(g->p, at, tile_part(b, NULL, NULL, NULL, rows, extent), g->tensor[t->id],
			gpu_offset(g, t, sub), NULL);
		if (cols > extent)
			tile_fill(g->p, at,
				tile_part(b, NULL, NULL, i32(g, extent), rows, cols - extent),
				tx_cvt(g->p, b->type, tx_f32(g->p, 0)));
		tile_else(g->p);
	}
	v = tx_cvt(g->p, b->type, row_value(h, st, e));
	tile_fill(g->p, at, tile_part(b, NULL, NULL, NULL, rows, cols), v);
	if (plain)
		tile_end(g->p);
}

/* The same of a scaled stream in two parts. */
static void put_scaled_rows(hopper *h, int s, gpu_env *e)
{
	gpu_cx *g = h->g;
	const model_stream *st = &h->plan->streams.item[s];
	tile_buffer *b = h->staged[s], *fine = h->fine[s];
	X v = op2(g, TX_MUL, row_value(h, st, e), tx_f32(g->p, gpu_linear_scale(g->m)));
	X most = tx_cvt(g->p, b->type, v);

	tile_fill(g->p, st->e->at, tile_all(b, NULL), most);
	tile_fill(g->p, st->e->at, tile_all(fine, NULL),
		tx_cvt(g->p, b->type, op2(g, TX_SUB, v, tx_cvt(g->p, TILE_F32, most))));
}

static void load_row_stream(hopper *h, int s)
{
	gpu_cx *g = h->g;
	const model_stream *st = &h->plan->streams.item[s];
	loc at = st->e->at;
	X row = op2(g, TX_ADD, g->row0, gpu_row_in_block(g));
	gpu_env e;

	gpu_env_init(g, &e);
	row = op2(g, TX_MIN, row, op2(g, TX_SUB, g->rows_total, i32(g, 1)));
	if (g->s->query)
		e.coord[g->s->query->id] = op2(g, TX_DIV, row, g->heads);
	if (g->m->head)
		e.coord[g->m->head->id] =
			op2(g, TX_ADD, g->first_head, op2(g, TX_MOD, row, g->heads));
	put_rows(h, h->kept[s] ? h->kept[s] : h->rows, h->plan->rows, st, &e);
	tile_commit(g->p, at);
	tile_wait(g->p, at, 0);
	tile_barrier(g->p, at);
	if (h->kept[s])
		return;
	tile_ldsm(g->p, at, tile_whole(g->stream[s]),
		tile_part(h->rows, NULL, NULL, NULL, h->plan->rows, g->stream[s]->cols), false);
	tile_barrier(g->p, at);
}

static void load_rows(hopper *h)
{
	for (int s = 0; s < h->plan->streams.count; s++)
		if (h->g->stream[s] && h->plan->streams.item[s].outer < 0)
			load_row_stream(h, s);
}

/* Where rows pass through the values' memory, those come last. */
void hopper_start(hopper *h, X base)
{
	gpu_cx *g = h->g;
	bool through = h->plan->rows_through && h->rows;

	if (base)
		load_all(h, base, true, !through);
	load_rows(h);
	if (!through)
		return;
	tile_fence_async(g->p, g->s->at);
	tile_barrier(g->p, g->s->at);
	if (base)
		load_all(h, base, false, true);
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
		if (h->fine[s])
			put_scaled_rows(h, s, &e);
		else
			put_rows(h, h->staged[s], h->staged[s]->rows, st, &e);
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

/* At the current position, for rows that walk on their own the row's. */
static X staged_vector(hopper *h, const tile_buffer *b, const model_stream *st, X col)
{
	gpu_cx *g = h->g;
	X row = st->outer + 1 == g->m->outers ? h->place : i32(g, 0);

	if (is_walked(h->plan, st))
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
	X row = st->outer + 1 == g->m->outers ? h->place : i32(g, 0);

	if (is_walked(h->plan, st))
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
		if (is_walked(h->plan, &h->plan->streams.item[s]) && gpu_is_product(h->plan, a) &&
			gpu_a_scale(h->g) == 1 && a->op == EXPR_MUL &&
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

	for (int s = 0; s < h->plan->streams.count; s++)
		load_vector(h, g->fine[s], h->fine[s], &h->plan->streams.item[s]);
	for (int i = 0; i < g->m->segments; i++)
		if (walked_factor(h, i) >= 0)
			load_vector(h, g->a[i], h->staged[walked_factor(h, i)],
				&h->plan->streams.item[walked_factor(h, i)]);
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
			op2(g, TX_MUL, tx_frag(g->p, g->stream[q]), tx_frag(g->p, g->a[i])));
	}
	if (!walked)
		gpu_build_segments(g);
	else if (walked < g->m->segments)
		ice("segments that walk and segments that do not");
}

/* A vector of the operands' own type loses nothing in one register for two. */
static tile_type vector_type(const hopper *h, const expr *x)
{
	return x->op == EXPR_LOAD && gpu_stored_type(x->load.tensor->dtype) == h->plan->operand
		       ? h->plan->operand
		       : TILE_F32;
}

/* --- Gv --- */

/* Columns of Gv that registers hold at a time, where each row has its own: as many as a score tile
 * has free. */
#define OWN_GV_COLUMNS 64

/* Whether each row has its own Gv, and registers hold it as it is staged. */
static bool has_own_gv(hopper *h, int i)
{
	const model_output *o = &h->g->m->output[i];
	int s = o->kind == OUTPUT_SUM && o->outer ? model_stream_find(&h->plan->streams, o->outer)
						  : -1;

	return s >= 0 && is_walked(h->plan, &h->plan->streams.item[s]) &&
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
