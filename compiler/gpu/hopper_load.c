/* hopper_load.c: keys and rows of the wgmma lowering, in shared memory and registers.
 * in:  the plan, the row form's row streams, B and V
 * out: buffers, tensor maps, mbarriers and register tiles; statements that load key tiles by TMA, and
 * rows into operand registers */
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
		h->staged[s] = hopper_declare_staged(h, st, "outer_vectors");
		h->staged[s]->what = "vectors of outer positions, one row each";
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

/* --- rows --- */

/* A stream under e at a column, zero in the padding. */
X hopper_row_value(hopper *h, const model_stream *st, gpu_env *e)
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
void hopper_put_rows(hopper *h, tile_buffer *b, int rows, const model_stream *st, gpu_env *e)
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
	v = tx_cvt(g->p, b->type, hopper_row_value(h, st, e));
	tile_fill(g->p, at, tile_part(b, NULL, NULL, NULL, rows, cols), v);
	if (plain)
		tile_end(g->p);
}

/* From shared memory, where they have landed, scaled for A. */
static void rows_to_registers(hopper *h, int s)
{
	gpu_cx *g = h->g;
	loc at = h->plan->streams.item[s].e->at;
	tile_frag *f = g->stream[s];

	tile_ldsm(g->p, at, tile_whole(f),
		tile_part(h->rows, NULL, NULL, NULL, h->plan->rows, f->cols), false);
	if (gpu_row_scale(g) != 1)
		tile_map(g->p, at, tile_whole(f),
			op2(g, TX_MUL, tx_frag(g->p, f),
				tx_cvt(g->p, f->type, tx_f32(g->p, gpu_row_scale(g)))));
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
	hopper_put_rows(h, h->kept[s] ? h->kept[s] : h->rows, h->plan->rows, st, &e);
	tile_commit(g->p, at);
	tile_wait(g->p, at, 0);
	tile_barrier(g->p, at);
	if (h->kept[s])
		return;
	rows_to_registers(h, s);
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
