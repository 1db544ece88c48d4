/* operand.c: keys and values into shared memory, rows into registers.
 * in:  the plan, the row form's row streams, B and V
 * out: shared buffers and register tiles, those of A too; statements that fill them (16-byte copies
 * where operands are plain and aligned, element by element otherwise) */
#include "gpu/gpu_internal.h"

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X add(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_ADD, a, b);
}

static int pad16(int64_t x)
{
	return (int)((x + 15) / 16 * 16);
}

/* The feature that a column of a padded operand stands for; padding reads the last one. */
X gpu_feature_of(gpu_cx *g, X column, int64_t extent)
{
	return extent % 16 ? tx_2(g->p, TX_MIN, column, i32(g, extent - 1)) : column;
}

/* v where the column is a feature, 0 in the padding. */
X gpu_padded(gpu_cx *g, X column, int64_t extent, X v)
{
	if (extent % 16 == 0)
		return v;
	return tx_3(g->p, TX_SELECT, tx_2(g->p, TX_LT, column, i32(g, extent)), v, tx_f32(g->p, 0));
}

/* "q_rows" for a stream that is tensor q as it stands, else the other name. */
static const char *stream_name(
	gpu_cx *g, const model_stream *st, const char *suffix, const char *other)
{
	if (st->e->op != EXPR_LOAD)
		return other;
	return arena_printf(g->p->arena, "%s_%s", st->e->load.tensor->name, suffix);
}

/* --- declarations --- */

static bool used_by_a(const gpu_cx *g, int s)
{
	for (int i = 0; i < g->m->segments; i++)
		if (g->m->segment[i].d == g->plan->streams.item[s].d)
			return true;
	return false;
}

void gpu_declare_stream(gpu_cx *g, int s)
{
	const model_stream *st = &g->plan->streams.item[s];
	int cols = pad16(st->d->extent);

	if (!used_by_a(g, s) || (g->plan->own && st->outer + 1 == g->m->outers))
		return;
	if (st->outer < 0) {
		g->stream[s] = tile_register(g->p, st->e->at, stream_name(g, st, "rows", "row_op"),
			LAYOUT_OPA, g->plan->operand, g->plan->rows, cols);
		g->stream[s]->what = "row operand of the scores";
	} else {
		g->stream[s] =
			tile_columnv(g->p, st->e->at, stream_name(g, st, "outer", "outer_op"),
				g->plan->operand, LAYOUT_OPA, cols);
		g->stream[s]->what = "outer key of this step";
	}
}

void gpu_declare_a(gpu_cx *g, int seg)
{
	const expr *a = g->m->segment[seg].a;
	int s = model_stream_find(&g->plan->streams, a);

	if (gpu_shared_a(g, seg) >= 0) {
		g->a[seg] = tile_register(g->p, a->at, "a", LAYOUT_OPA, g->plan->operand,
			g->plan->rows, g->plan->operand == TILE_F32 ? 8 : 16);
		g->a[seg]->what = "row operands of one product";
		return;
	}
	if (s >= 0 && g->stream[s] && g->plan->streams.item[s].outer < 0 && gpu_a_scale(g) == 1) {
		g->a[seg] = g->stream[s];
		return;
	}
	g->a[seg] = tile_register(g->p, a->at, "a", LAYOUT_OPA, g->plan->operand, g->plan->rows,
		pad16(g->m->segment[seg].d->extent));
	g->a[seg]->what = "A of this outer step";
	if (!gpu_in_two_parts(g->plan, seg))
		return;
	g->rest[seg] = tile_register(g->p, a->at, "a_rest", LAYOUT_OPA, g->plan->operand,
		g->plan->rows, g->a[seg]->cols);
	g->rest[seg]->what = "what rounding left of A";
}

/* --- parts of the values --- */

int gpu_parts(const gpu_plan *p)
{
	return p->e_part && p->e_total ? (p->e_total + p->e_part - 1) / p->e_part : 1;
}

static int part_columns(const gpu_plan *p, int part)
{
	int left = p->e_total - part * p->e_part;

	return p->e_part && left > p->e_part ? p->e_part : left;
}

bool gpu_output_part(const gpu_cx *g, int output, gpu_part *part)
{
	const gpu_plan *p = g->plan;
	int from = g->part * p->e_part, to = from + part_columns(p, g->part);
	int low = p->e_offset[output], high = low + pad16(p->e_extent[output]);
	int a = low > from ? low : from, b = high < to ? high : to;

	if (g->m->output[output].kind != OUTPUT_SUM || a >= b)
		return false;
	*part = (gpu_part){.first = a - low,
		.features = p->e_extent[output] - (a - low),
		.col = a - from,
		.cols = b - a};
	if (part->features > part->cols)
		part->features = part->cols;
	return true;
}

static void declare_sums(gpu_cx *g)
{
	loc at = g->s->at;
	int rows = g->plan->rows;

	g->out = tile_register(g->p, at, "acc", LAYOUT_ACC, TILE_F32, rows, g->columns);
	g->out->what = "output sums";
	g->sum = g->out;
	if (!g->m->outers)
		return;
	g->sum = tile_register(g->p, at, "pv", LAYOUT_ACC, TILE_F32, rows, g->columns);
	g->sum->what = "sum over inner keys of weight times value, for one outer step";
}

void gpu_operands(gpu_cx *g)
{
	const gpu_plan *pl = g->plan;
	loc at = g->s->at;

	g->b = tile_shared(g->p, at, "keys", pl->operand, pl->slots, pl->resident, pl->d_pad);
	g->b->what = "inner keys, one row a key";
	if (pl->e_total) {
		g->v = tile_shared(g->p, at, "values", pl->value_operand, pl->slots, pl->resident,
			part_columns(pl, 0));
		g->v->what = "inner values, one row a key";
	}
	gpu_stage_declare(g);
	gpu_row_sums_declare(g);
	for (int s = 0; s < pl->streams.count; s++)
		gpu_declare_stream(g, s);
	for (int i = 0; i < g->m->segments; i++)
		gpu_declare_a(g, i);
	if (g->m->c)
		g->c = tile_register(g->p, g->m->c->at, "c", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
	g->score = tile_register(g->p, at, "s", LAYOUT_ACC, TILE_F32, pl->rows, pl->key_tile);
	g->score->what = "scores of one key tile";
	if (pl->e_total) {
		if (pl->value_operand != TILE_F32)
			g->weight = tile_register(g->p, at, "w", LAYOUT_OPA, pl->value_operand,
				pl->rows, pl->key_tile);
	}
	g->m_max = tile_register(g->p, at, "m", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
	g->l_sum = tile_register(g->p, at, "l", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
}

/* --- keys and values --- */

/* A plain load of numbers of that type along their last dimension. */
static bool copyable(tile_type type, const expr *x, const sema_axis *d)
{
	const sema_tensor *t;
	const expr *last;

	if (!x || x->op != EXPR_LOAD || !d || d->extent * tile_type_bytes(type) % 16)
		return false;
	t = x->load.tensor;
	if (gpu_stored_type(t->dtype) != type)
		return false;
	last = x->load.sub[t->rank - 1];
	if (last->op != EXPR_COORD || last->axis != d || d->extent != t->dim[t->rank - 1].extent)
		return false;
	for (int i = 0; i + 1 < t->rank; i++)
		if (x->load.sub[i]->op != EXPR_COORD || x->load.sub[i]->axis == d)
			return false;
	return true;
}

bool gpu_copyable(const gpu_plan *pl, const expr *x, const sema_axis *d)
{
	return copyable(pl->operand, x, d);
}

/* Coordinates of a region's row; whether it holds anything. */
static X vector_env(gpu_cx *g, gpu_env *e, const gpu_vectors *v)
{
	X row = tx_leaf(g->p, TX_ROW), key, last;

	gpu_env_init(g, e);
	if (v->key) {
		key = add(g, v->first, row);
		last = tx_2(g->p, TX_SUB, tx_arg(g->p, g->length[v->key->length->id]), i32(g, 1));
		e->coord[v->key->id] = tx_2(g->p, TX_MIN, key, last);
		return tx_2(g->p, TX_LE, key, v->last);
	}
	row = add(g, g->row0, row);
	row = tx_2(g->p, TX_MIN, row, tx_2(g->p, TX_SUB, g->rows_total, i32(g, 1)));
	if (g->s->query)
		e->coord[g->s->query->id] = tx_2(g->p, TX_DIV, row, g->heads);
	if (g->m->head)
		e->coord[g->m->head->id] = add(g, g->first_head, tx_2(g->p, TX_MOD, row, g->heads));
	return tx_bool(g->p, true);
}

static int vector_extent(const gpu_vectors *v)
{
	return v->features ? v->features : v->d ? (int)v->d->extent : 1;
}

static void fill_vectors(gpu_cx *g, tile_buffer *buf, X slot, int col, const gpu_vectors *v)
{
	int extent = vector_extent(v);
	loc at = v->x ? v->x->at : g->s->at;
	X inside, value;
	gpu_env e;

	inside = vector_env(g, &e, v);
	gpu_row_sums(g, &e, v->x, v->d, buf->rows);
	if (v->d)
		e.coord[v->d->id] = add(g, tx_leaf(g->p, TX_COL), i32(g, v->feature));
	value = tx_3(g->p, TX_SELECT, inside, v->x ? gpu_float(g, &e, v->x) : tx_f32(g->p, 1),
		tx_f32(g->p, 0));
	tile_fill(g->p, at, tile_part(buf, slot, i32(g, 0), i32(g, col), buf->rows, extent),
		tx_cvt(g->p, buf->type, value));
}

static void copy_vectors(gpu_cx *g, tile_buffer *buf, X slot, int col, const gpu_vectors *v)
{
	const sema_tensor *t = v->x->load.tensor;
	X sub[SEMA_MAX_RANK], inside;
	gpu_env e;

	inside = vector_env(g, &e, v);
	for (int i = 0; i < t->rank; i++)
		sub[i] = i + 1 < t->rank ? gpu_value(g, &e, v->x->load.sub[i]) : NULL;
	tile_copy(g->p, v->x->at,
		tile_part(buf, slot, i32(g, 0), i32(g, col), buf->rows, vector_extent(v)),
		g->tensor[t->id], add(g, gpu_offset(g, t, sub), tx_i64(g->p, v->feature)), inside);
}

void gpu_load_vectors(gpu_cx *g, tile_buffer *buf, X slot, int col, const gpu_vectors *v)
{
	if (!copyable(buf->type, v->x, v->d)) {
		fill_vectors(g, buf, slot, col, v);
		return;
	}
	tile_if_begin(g->p, v->x->at, tx_2(g->p, TX_NE, tx_arg(g->p, g->aligned), i32(g, 0)));
	copy_vectors(g, buf, slot, col, v);
	tile_else(g->p);
	fill_vectors(g, buf, slot, col, v);
	tile_end(g->p);
}

void gpu_load_block(gpu_cx *g, X key0, X slot)
{
	const row_form *m = g->m;
	gpu_vectors v = {.key = m->inner, .first = key0, .last = g->high[0]};
	gpu_part part;

	for (int i = 0; i < m->segments; i++) {
		v.x = m->segment[i].b;
		v.d = m->segment[i].d;
		gpu_load_vectors(g, g->b, slot, g->plan->d_offset[i], &v);
	}
	for (int i = 0; i < m->outputs; i++) {
		if (!gpu_output_part(g, i, &part))
			continue;
		v.x = m->output[i].inner;
		v.d = m->output[i].e;
		v.feature = part.first;
		v.features = part.features;
		gpu_load_vectors(g, g->v, slot, part.col, &v);
	}
	tile_commit(g->p, g->s->at);
}

/* --- rows --- */

/* Columns that no operand fills stay zero for the whole kernel. */
static void clear_padding(gpu_cx *g, tile_buffer *buf, int from, int to)
{
	for (int slot = 0; slot < buf->slots && from < to; slot++)
		tile_fill(g->p, g->s->at,
			tile_part(buf, i32(g, slot), i32(g, 0), i32(g, from), buf->rows, to - from),
			tx_cvt(g->p, buf->type, tx_f32(g->p, 0)));
}

static void clear_value_padding(gpu_cx *g)
{
	gpu_part part;

	for (int i = 0; i < g->m->outputs; i++)
		if (gpu_output_part(g, i, &part))
			clear_padding(g, g->v, part.col + part.features, part.col + part.cols);
}

/* Values of the part before may still be read. */
void gpu_part_begin(gpu_cx *g, int part)
{
	g->part = part;
	g->columns = part_columns(g->plan, part);
	for (int i = 0; i < MODEL_MAX_OUTPUTS; i++)
		g->gv[i] = NULL;
	if (g->columns)
		declare_sums(g);
	if (!part)
		return;
	tile_barrier(g->p, g->s->at);
	clear_value_padding(g);
}

static void clear_all_padding(gpu_cx *g)
{
	const gpu_plan *pl = g->plan;

	for (int i = 0; i < g->m->segments; i++) {
		int end = pl->d_offset[i] + (int)g->m->segment[i].d->extent;

		clear_padding(g, g->b, end, (end + 15) / 16 * 16);
	}
	clear_value_padding(g);
	for (int s = 0; s < pl->streams.count; s++) {
		tile_buffer *buf = g->rows[s] ? g->rows[s] : g->stage[s];

		if (buf && gpu_stage_owner(pl, s) == s)
			clear_padding(g, buf, (int)pl->streams.item[s].d->extent, buf->cols);
	}
}

/* One row stream through shared memory into the operand layout. Rows share the key buffer's memory:
 * no key arrives before they are in registers. */
static void load_row_stream(gpu_cx *g, int s, tile_buffer *stage)
{
	const model_stream *st = &g->plan->streams.item[s];
	X row, r, v, d = tx_leaf(g->p, TX_COL);
	gpu_env e;

	gpu_env_init(g, &e);
	r = add(g, g->row0, tx_leaf(g->p, TX_ROW));
	row = tx_2(g->p, TX_MIN, r, tx_2(g->p, TX_SUB, g->rows_total, i32(g, 1)));
	if (g->s->query)
		e.coord[g->s->query->id] = tx_2(g->p, TX_DIV, row, g->heads);
	if (g->m->head)
		e.coord[g->m->head->id] = add(g, g->first_head, tx_2(g->p, TX_MOD, row, g->heads));
	gpu_row_sums(g, &e, st->e, st->d, g->plan->rows);
	e.coord[st->d->id] = gpu_feature_of(g, d, st->d->extent);
	v = gpu_padded(g, d, st->d->extent, gpu_float(g, &e, st->e));
	tile_fill(g->p, st->e->at,
		tile_part(stage, NULL, NULL, NULL, g->plan->rows, g->stream[s]->cols),
		tx_cvt(g->p, g->plan->operand, v));
	tile_barrier(g->p, st->e->at);
	tile_ldsm(g->p, st->e->at, tile_whole(g->stream[s]),
		tile_part(stage, NULL, NULL, NULL, g->plan->rows, g->stream[s]->cols), false);
	tile_barrier(g->p, st->e->at);
}

/* Row operands that stay in shared memory; those that are A of every step go on to registers. */
static void keep_rows(gpu_cx *g)
{
	gpu_stage_rows(g);
	clear_all_padding(g);
	tile_wait(g->p, g->s->at, 0);
	tile_barrier(g->p, g->s->at);
	for (int seg = 0; seg < g->m->segments; seg++)
		for (int s = 0; s < g->plan->streams.count; s++)
			if (g->a[seg] && g->a[seg] == g->stream[s] && g->rows[s])
				tile_ldsm(g->p, g->s->at, tile_whole(g->a[seg]),
					tile_all(g->rows[s], NULL), false);
}

void gpu_load_rows(gpu_cx *g)
{
	tile_buffer *stage = NULL;
	int cols = 0;

	if (g->plan->rows_shared) {
		keep_rows(g);
		return;
	}
	for (int s = 0; s < g->plan->streams.count; s++)
		if (g->stream[s] && g->plan->streams.item[s].outer < 0 && g->stream[s]->cols > cols)
			cols = g->stream[s]->cols;
	if (cols) {
		stage = tile_shared_again(
			g->p, g->s->at, "rows", g->plan->operand, 1, g->plan->rows, cols, g->b);
		stage->what = "row operands on their way to registers";
	}
	for (int s = 0; s < g->plan->streams.count; s++)
		if (g->stream[s] && g->plan->streams.item[s].outer < 0)
			load_row_stream(g, s, stage);
	clear_all_padding(g);
}
